//! `pay`: the token holds for one `Authorization` only.
