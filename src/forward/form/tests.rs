use super::*;
use crate::secret::Secret;

fn pairs(names: &[&str]) -> Vec<InjectedPair> {
    let pair = |name: &&str| InjectedPair {
        name: (*name).into(),
        encoded: Secret::new(format!("{name}=x").into_bytes()),
        is_plain: *name == "client_id",
        from: "env:X".into(),
    };
    names.iter().map(pair).collect()
}

fn checked(form: &str) -> Result<(), BadForm> {
    let pairs = pairs(&["client_secret", "client_id"]);
    let form = form.as_bytes();
    check(form, &pairs, |one| is_in(form, one))
}

#[test]
fn what_a_caller_says_in_our_own_words_is_said_once_and_no_secret() {
    for form in ["client_id=x", "a=1&client_id=x&b=2", "&client_id=x&"] {
        assert_eq!(checked(form), Ok(()), "{form}");
    }
    for form in [
        "client_id=y",
        "client_id=x&client_id=x",
        "client_id=x&client_id=y",
        "client_id=y&client_id=x",
        "client_id=x&client.id=x",
        "client_id=x;client_id=y",
        "a;client_id=x",
        "client_id=x;a",
        "client_id=%78",
        "client%5Fid=x",
        "Client_id=x",
        "client_id=x ",
        "client_id[]=x",
    ] {
        let refused = Err(BadForm::Ours("client_id".into()));
        assert_eq!(checked(form), refused, "{form}");
    }
    let secret = Err(BadForm::Ours("client_secret".into()));
    assert_eq!(checked("client_secret=x"), secret);
}

#[test]
fn a_name_of_ours_is_found_however_it_is_written() {
    for form in [
        "client_secret=guess",
        "client_secret",
        "a=1&client_secret=guess",
        "a=1;client_secret=guess",
        "&&client_secret=",
        "client%5Fsecret=x",
        "c%6cient_secret=x",
        "CLIENT_SECRET=x",
        "client.secret=x",
        "client+secret=x",
        "client%20secret=x",
        "+client_secret+=x",
        "client_secret[]=x",
        "client_secret%5B0%5D=x",
        "client_secret[a][b=x",
        "client_secret%00y=x",
        "client_secret=1&client_secret=2",
    ] {
        assert_eq!(
            checked(form),
            Err(BadForm::Ours("client_secret".into())),
            "{form}"
        );
    }
}

#[test]
fn values_and_other_names_are_left_alone() {
    for form in [
        "",
        "&",
        "grant_type=authorization_code&code=client_secret",
        "redirect_uri=https%3A%2F%2Fapp.example%2F%3Fclient_id%3Dx",
        "x_client_secret=1",
        "client_secret2=1",
        "secret=1&id=2",
        "scope=a+b&state=100%",
        "claims[a][]=1&claims%5Bb%5D=2",
    ] {
        assert_eq!(checked(form), Ok(()), "{form}");
    }
}

#[test]
fn a_name_that_two_servers_read_differently_is_refused() {
    for form in [
        "client%u005Fsecret=x",
        "%=1",
        "a%4=1",
        "%zz",
        "f\u{fc}r=1",
        // Rack and Express leave brackets in front out; PHP has `_` for one that is not closed.
        "[client_secret]=x",
        "%5Bclient_secret%5D=x",
        "+[client_secret][]=x",
        "]client_secret=x",
        "client_secret]=x",
        "client]secret[]=x",
        "client[secret=x",
        "client%5Bsecret=x",
    ] {
        assert_eq!(checked(form), Err(BadForm::Odd), "{form}");
    }
}

#[test]
fn a_form_of_so_many_members_that_ours_would_be_dropped_is_refused() {
    for (in_query, in_form, passes) in [
        (0, MAX_MEMBERS, true),
        (0, MAX_MEMBERS + 1, false),
        (MAX_MEMBERS / 2, MAX_MEMBERS / 2, true),
        (MAX_MEMBERS / 2, MAX_MEMBERS / 2 + 1, false),
        (MAX_MEMBERS / 2 + 1, MAX_MEMBERS / 2, false),
        (MAX_MEMBERS + 1, 0, false),
    ] {
        let verdict = if passes {
            Ok(())
        } else {
            Err(BadForm::TooMany)
        };
        for separator in ["a&", "&", "a;"] {
            let text = |members: usize| match members.checked_sub(1) {
                Some(parted) => separator.repeat(parted) + "a",
                None => String::new(),
            };
            let [query, form] = [in_query, in_form].map(text);
            let counted = count(query.as_bytes(), form.as_bytes());
            assert_eq!(counted, verdict, "{in_query} {in_form} {separator}");
        }
    }
}

#[test]
fn what_is_added_is_encoded_so_that_every_reader_takes_it_back() {
    let mut text = Vec::new();
    encode(b"a b+c&d=e%/:\xc3\xa4~*", &mut text);
    assert_eq!(text, b"a%20b%2Bc%26d%3De%25%2F%3A%C3%A4%7E*");
}
