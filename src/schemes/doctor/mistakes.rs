//! The table of mistakes: a stable word for programs, and what the caller did
//! and what is right, for people. Rows stand in the order in which they are tried.

macro_rules! mistakes {
    ($($name:ident $word:literal $says:literal;)*) => {
        /// A mistake that signers make.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mistake {
            $(#[doc = $says] $name,)*
        }

        impl Mistake {
            /// Every mistake that is known.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stable word. What callers may rely on.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// What the caller did, and what is right.
            pub const fn says(self) -> &'static str {
                match self { $(Self::$name => $says,)* }
            }
        }
    };
}

mistakes! {
    // The text as a whole.
    TrailingNewline "trailing-newline" "a newline stands at the end of the signed text: it ends with its last line, without one";
    NoTrailingNewline "trailing-newline-missing" "the newline at the end is missing: every line of the text ends in one, the last one too";
    CrLf "crlf" "lines end in CR LF: they end in LF alone";
    // What of the request stands in it.
    QuestionMark "question-mark-missing" "the value of `@query` lacks its `?`: it starts with one";
    QuestionMarkSigned "question-mark-signed" "a `?` stands before the query: its line holds the query alone";
    EmptyQuery "empty-query" "a lone `?` behind the path makes a difference: the target is signed exactly as it is sent";
    MethodLower "method-in-lower-case" "the method is in lower case: it stands as in the request line";
    MethodUpper "method-in-upper-case" "the method is in upper case: in this line it is in lower case";
    HostAsSent "host-as-sent" "the host is written as in `Host`: in this line it is in lower case, without the scheme's own port, or the one in `[server] public_url`";
    HostNotAsSent "host-not-as-sent" "the host is in another form than it was sent in: in this line it stands as in `Host`, in the same case and with the same port; over HTTP/2 as in `:authority`, without the scheme's own port";
    HostWithPort "host-with-port" "the scheme's own port stands behind the host: it is left out";
    HostWithoutPort "host-without-port" "the port is missing behind the host: one that is not the scheme's own belongs there";
    HostWithScheme "host-with-scheme" "the scheme stands before the host: in this line it is the host alone, with its port where that is not the scheme's own";
    SchemeDiffers "scheme-differs" "the scheme differs, `http` or `https`: callers behind TLS termination need `[server] public_url`";
    QuerySorted "query-sorted" "the query was sorted before it was signed: it stands as in the request line";
    QueryMissing "query-missing" "the query is missing behind the path: the whole target is signed";
    QueryDecoded "query-decoded" "the query was decoded before it was signed: it stands as in the request line";
    QueryEncoded "query-encoded-anew" "the query was encoded in another way than it was sent: it stands as in the request line";
    PathDecoded "path-decoded" "the path was decoded before it was signed: it stands as in the request line";
    PathEncodedTwice "path-encoded-twice" "the path was encoded once more before it was signed: it stands as in the request line";
    PathEncoded "path-encoded-anew" "the path was encoded in another way than it was sent: it stands as in the request line";
    PathWithQuery "path-with-query" "`@path` holds the query too: it ends before the `?`";
    PathSlash "path-slash" "the slash at the end of the path differs: the path is signed exactly as it is sent";
    EscapeCase "escape-case" "the digits of an escape such as `%c3` are in another case than they were sent: the target is signed exactly as it is sent";
    DigestInHex "body-digest-in-hex" "the body's digest is signed in hexadecimal: it stands as in its field, in base64";
    DigestBare "body-digest-bare" "the body's digest is signed without its algorithm's name, or without the colons around it: the field's whole value is signed";
    BodyUnsigned "body-unsigned" "the body is signed as `UNSIGNED-PAYLOAD`, and not by its SHA-256";
    BodyAsEmpty "body-as-empty" "the body is signed as if there were none: its SHA-256 is the last line";
    BodyHashDiffers "body-hash-differs" "`X-Amz-Content-Sha256` is another hash than the one that is signed";
    BodyHashInBase64 "body-hash-in-base64" "the body's hash is signed in base64: it stands in hexadecimal";
    BodyHashInUpper "body-hash-in-upper-case" "the body's hash is signed in upper case: its digits stand in lower case";
    FormNotTaken "form-not-taken" "path or query is signed in a way that the route does not take: see `sigv4.path` and `sigv4.plus_is_space`";
    HttpVersion "http-version" "the line has another version of HTTP than is signed here: in `request-line` it is `HTTP/2.0` over HTTP/2, and else `HTTP/1.1`, over HTTP/1.0 too; behind a target alone stands none";
    // What of a webhook stands in it.
    BodyAlone "body-alone" "the body alone is signed: what stands before it is missing, id and time as the sender's way has them";
    IdMissing "id-missing" "the message's id is missing in the signed text: it stands before the time";
    TimeMissing "time-missing" "the time is missing in the signed text: it stands before the body";
    VersionMissing "version-missing" "`v0:` is missing before the time";
    FrontInOtherOrder "front-in-other-order" "id and time stand in another order: the id comes first";
    Separator "separator" "another sign stands between the parts of the text: it is `.`, and `:` for Slack";
    BodyMissing "body-missing" "the body is missing in the signed text: it is signed as it is sent";
    BodyAsObject "body-as-object" "what was signed is how a program shows the body (`[object Object]`, `b'…'`, `undefined`): sign the bytes that are sent";
    BodyHashed "body-hashed" "the body's hash is signed in its place: sign the body itself";
    BodyWrittenAnew "body-written-anew" "another body was signed, the same text with other white space: sign the bytes that are sent, and let nothing on the way write them anew";
    // How the text is written.
    ParamsAsSent "params-as-sent" "the last line repeats `Signature-Input` letter by letter: in the text it has its canonical form, one space between components and none around `;` and `=`";
    LabelInParams "label-in-params" "the label stands in the last line: only what follows `label=` belongs there";
    ParamsMissing "params-missing" "the last line, `\"@signature-params\"`, is missing";
    NamesUnquoted "names-without-quotes" "the names stand without quotes: `\"@method\": POST`";
    NamesInUpper "names-in-upper-case" "the fields' names are in another case: in the text they are in lower case";
    NamesInLower "names-in-lower-case" "the fields' names are in lower case: in the text they stand as in the list";
    EmptyLineMissing "empty-line-missing" "an empty line is missing: one stands behind the fields, before the list of their names, and one in the place of a query that is not there";
    NameInFront "name-in-front" "a name stands before the line of the request: in this dialect the line stands alone";
    NameMissing "name-missing" "a line lacks its name: it stands before the value, with `: ` between them";
    NoSpace "space-missing" "the space behind `:` is missing";
    KeyIdMissing "key-id-missing" "the first line is missing: it is the key's id";
    ClockTwice "clock-read-twice" "the time that was signed is another than the one that was sent: read the clock once";
    // How the signature is written.
    SignatureInHex "signature-in-hex" "the signature is written in hexadecimal: base64 of its bytes is accepted";
    SignatureTwice "signature-encoded-twice" "the signature is encoded in base64 twice: once is right";
    SignatureInDer "signature-in-der" "the signature is written as DER: its two numbers side by side are accepted (`ieee-p1363` in Node's crypto)";
    SaltLength "salt-length" "the salt is the longest that fits: sign with one of 64 bytes, or give the key `any_salt = true`";
    // What was signed with.
    SecretAsText "secret-as-text" "the secret is used as the text that it is written in: decode it from base64 or hex, and use the bytes";
    SecretWithPrefix "secret-with-prefix" "the secret is used with its `base64:`, `hex:` or `whsec_` in front: decode what stands behind it";
    SecretWithoutPrefix "secret-without-prefix" "`whsec_` was taken off the secret: all of it is used here, as it is written";
    SecretWithNewline "secret-with-newline" "a newline is part of the secret as it is used, and is none of the key's";
    SecretWithoutNewline "secret-without-newline" "the file's last newline is part of the secret, since the file has no `base64:` or `hex:` in front";
    SecretDecoded "secret-decoded" "the secret is decoded before use, but the gateway takes it as it stands: its file has no `base64:` or `hex:` in front";
    Aws4Missing "aws4-missing" "the key is derived from the secret alone: `AWS4` stands before the secret";
    OtherHash "other-hash" "the signature is made with another hash: use the key's algorithm";
    OtherKey "other-key" "the signature is that of another key of the same app: name the key that signs";
    RetiredKey "retired-key" "the signature holds, and its key is no longer in force: use the one that followed it";
    EarlyKey "early-key" "the signature holds, and its key is not yet in force";
    KeyNotForScheme "key-not-for-scheme" "the signature holds, and its key may not be used in this way: `schemes` of the key does not list it, or its secret is too short for it";
    WrongAlgorithm "algorithm-named-wrongly" "the signature holds, and the algorithm that is named beside it is not the key's: name the key's, or none where it may be left out";
    AlgorithmNotTaken "algorithm-not-taken" "the signature is made with the key, and no key of its algorithm is taken for it: the dialects `kong` and `apisix` take shared secrets alone, `cavage-12` Ed25519 and RSA besides, and none of them ECDSA; tokens take neither `hmac-sha512` nor `rsa-pss-sha512`";
    Milliseconds "time-in-milliseconds" "the signature holds, and its time is in milliseconds: times are in whole seconds";
    ClockOffset "clock-offset" "the signature holds, and its time alone is wrong: set the clock, or sign when you send";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_mistake_has_a_word_of_its_own() {
        let words: HashSet<_> = Mistake::ALL.iter().map(|one| one.word()).collect();
        assert_eq!(words.len(), Mistake::ALL.len());
    }
}
