//! nginx and `HAProxy`, where the system has them: others that one may put there.

use crate::bed::link::Door;
use crate::bed::process::{Place, Process, command};
use crate::bed::sign::{KEY_ID, SECRET};
use data_encoding::BASE64;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

const NGINX_MODULES: &str = "/usr/lib/nginx/modules";
/// How long one may take to listen, in tenths of a second.
const PATIENCE: usize = 100;

/// A peer that runs; it listens through every door, checked and not.
pub(super) struct Peer {
    pub(super) process: Process,
    /// Whether it can check at all.
    pub(super) checks: bool,
    ports: Ports,
}

impl Peer {
    pub(super) fn address(&self, door: Door, checked: bool) -> SocketAddr {
        let ports = &self.ports.0[usize::from(checked)];
        let port = match door {
            Door { tls: true, .. } => ports[2],
            Door { http2: true, .. } => ports[1],
            Door { .. } => ports[0],
        };
        (Ipv4Addr::LOCALHOST, port).into()
    }
}

/// Of the unchecked one and of the checked one: HTTP/1.1, HTTP/2, TLS.
struct Ports([[u16; 3]; 2]);

impl Ports {
    /// Free ones: all are held at a time, so that they differ.
    fn free() -> Self {
        let held: [[TcpListener; 3]; 2] = std::array::from_fn(|_| {
            std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").expect("a port"))
        });
        Self(held.map(|three| three.map(|one| one.local_addr().expect("an address").port())))
    }

    fn fill(&self, text: &str) -> String {
        let names = [
            ["{unchecked}", "{unchecked_http2}", "{unchecked_tls}"],
            ["{checked}", "{checked_http2}", "{checked_tls}"],
        ];
        let pairs = names.iter().flatten().zip(self.0.iter().flatten());
        pairs.fold(text.to_owned(), |text, (name, port)| {
            text.replace(name, &port.to_string())
        })
    }
}

/// `HAProxy` 2.6 or later.
pub(super) fn haproxy(upstream: SocketAddr, folder: &Path) -> Option<Peer> {
    let program = installed("haproxy")?;
    let ports = Ports::free();
    let config = fill(include_str!("haproxy.cfg"), upstream, folder);
    let file = folder.join("haproxy.cfg");
    fs::write(&file, ports.fill(&config).replace("{threads}", "1")).expect("a file");
    let child = command(&program, Place::Proxy)
        .args(["-db", "-f"])
        .arg(file)
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.join("haproxy.err")).expect("a file"))
        .spawn()
        .expect("haproxy runs");
    Some(listening(child, ports, true, &folder.join("haproxy.err")))
}

/// nginx; it checks where its Lua module is there.
pub(super) fn nginx(upstream: SocketAddr, folder: &Path) -> Option<Peer> {
    let program = installed("nginx")?;
    let ports = Ports::free();
    let modules = ["ndk_http_module.so", "ngx_http_lua_module.so"]
        .map(|module| Path::new(NGINX_MODULES).join(module));
    let checks = modules.iter().all(|module| module.exists());
    let mut config = fill(include_str!("nginx.conf"), upstream, folder);
    let (loads, lua, access) = if checks {
        let check = fill(include_str!("check.lua"), upstream, folder);
        fs::write(folder.join("check.lua"), check).expect("a file");
        (
            modules
                .map(|module| format!("load_module {};\n", module.display()))
                .concat(),
            format!(
                "lua_package_path '{}/?.lua;/usr/share/lua/5.1/?.lua;;';",
                folder.display()
            ),
            "access_by_lua_block { require('check').access() }",
        )
    } else {
        (String::new(), String::new(), "return 401;")
    };
    config = config
        .replace("{modules}", &loads)
        .replace("{lua}", &lua)
        .replace("{access}", access)
        // One process is enough for one worker, and needs no other user.
        .replace("{processes}", "worker_processes 1;\nmaster_process off;");
    let file = folder.join("nginx.conf");
    fs::write(&file, ports.fill(&config)).expect("a file");
    let child = command(&program, Place::Proxy)
        .arg("-p")
        .arg(folder)
        .arg("-c")
        .arg(file)
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.join("nginx.err")).expect("a file"))
        .spawn()
        .expect("nginx runs");
    Some(listening(child, ports, checks, &folder.join("error.log")))
}

fn installed(name: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|program| program.exists())
}

fn fill(text: &str, upstream: SocketAddr, folder: &Path) -> String {
    text.replace("{upstream}", &upstream.to_string())
        .replace("{folder}", &folder.display().to_string())
        .replace("{secret}", SECRET)
        .replace("{secret_base64}", &BASE64.encode(SECRET.as_bytes()))
        .replace("{key_id}", KEY_ID)
}

/// Waits until its last port takes connections: a peer tells nobody that it listens.
fn listening(child: Child, ports: Ports, checks: bool, log: &Path) -> Peer {
    let mut process = Process::new(child);
    let last = (Ipv4Addr::LOCALHOST, ports.0[1][2]);
    let up = (0..PATIENCE).any(|_| {
        if TcpStream::connect(last).is_ok() {
            return true;
        }
        thread::sleep(Duration::from_millis(100));
        process.has_ended()
    });
    assert!(
        up && !process.has_ended(),
        "it does not start:\n{}",
        fs::read_to_string(log).unwrap_or_default()
    );
    Peer {
        process,
        checks,
        ports,
    }
}
