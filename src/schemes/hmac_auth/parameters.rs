//! `name="value"` and `name=value`, joined by commas (RFC 7235, section 2.1),
//! read strictly: what two readers could read differently is refused.

/// Parameters that are read.
pub(super) const MAX_PARAMETERS: usize = 16;

/// What is left to read.
pub(super) struct Parameters<'r> {
    rest: &'r str,
    read: usize,
}

impl<'r> Parameters<'r> {
    pub(super) const fn new(text: &'r str) -> Self {
        Self {
            rest: text,
            read: 0,
        }
    }

    /// The next name and value; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(&'r str, &'r str)>, String> {
        self.skip_space();
        if self.read > 0 {
            if self.rest.is_empty() {
                return Ok(None);
            }
            self.take(b',')?;
            self.skip_space();
        }
        if self.read == MAX_PARAMETERS {
            return Err(format!("there are more than {MAX_PARAMETERS} parameters"));
        }
        self.read += 1;
        let name = self.while_true(is_token_char);
        if name.is_empty() {
            return Err(self.unexpected("the name of a parameter"));
        }
        self.take(b'=')?;
        let value = if self.rest.starts_with('"') {
            self.quoted(name)?
        } else {
            let value = self.while_true(is_token_char);
            if value.is_empty() {
                return Err(self.unexpected(&format!("the value of `{name}`")));
            }
            value
        };
        Ok(Some((name, value)))
    }

    /// A value in quotes. An escape has two readings, and no value needs one.
    fn quoted(&mut self, name: &str) -> Result<&'r str, String> {
        self.take(b'"')?;
        let end = memchr::memchr2(b'"', b'\\', self.rest.as_bytes());
        let (value, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        if self.rest.starts_with('\\') {
            return Err(format!("the value of `{name}` holds `\\`"));
        }
        self.take(b'"')?;
        Ok(value)
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t') = self.rest.as_bytes().first() {
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
    }

    fn take(&mut self, wanted: u8) -> Result<(), String> {
        if self.rest.as_bytes().first() != Some(&wanted) {
            return Err(self.unexpected(&format!("`{}`", char::from(wanted))));
        }
        self.rest = self.rest.get(1..).unwrap_or_default();
        Ok(())
    }

    fn while_true(&mut self, fits: impl Fn(u8) -> bool) -> &'r str {
        let end = self.rest.bytes().position(|byte| !fits(byte));
        let (front, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        front
    }

    fn unexpected(&self, wanted: &str) -> String {
        match self.rest.chars().next() {
            Some(found) => format!("`{found}` stands where {wanted} is needed"),
            None => format!("it ends where {wanted} is needed"),
        }
    }
}

/// What a name may hold (RFC 9110, section 5.6.2).
pub(super) const fn is_token_char(byte: u8) -> bool {
    IN_TOKEN[byte as usize]
}

const IN_TOKEN: [bool; 256] = {
    let mut all = [false; 256];
    let mut at = 0;
    while at < all.len() {
        let byte = at as u8;
        all[at] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~'
            );
        at += 1;
    }
    all
};
