//! What `codex login --device-auth` prints: page and code on standard output, coloured whether anybody asks for colours or not; how it
//! ended, on standard error.

use std::{sync::LazyLock, time::Duration};

use regex::Regex;

use super::super::{DeviceCode, DeviceRefusal};

/// How long a code lasts where the CLI doesn't say so.
const LASTS: Duration = Duration::from_secs(15 * 60);

/// The page and the code, once both are there.
pub(super) fn code(printed: &str) -> Option<DeviceCode> {
    let [colours, page, code, lasts] = SHAPES.as_ref()?;
    let plain = colours.replace_all(printed, "");
    let minutes = lasts.captures(&plain).and_then(|found| found[1].parse().ok());
    // The code is an indented line of its own, after the page, and whole: the CLI may be in the middle of writing it.
    let found = page.find(&plain)?;
    let code = code.captures(&plain[found.end()..])?;
    Some(DeviceCode {
        verification_url: found.as_str().to_owned(),
        user_code: code[1].to_owned(),
        expires_in: minutes.map_or(LASTS, |minutes: u64| Duration::from_secs(60 * minutes)),
    })
}

static SHAPES: LazyLock<Option<[Regex; 4]>> = LazyLock::new(|| {
    let compiled = |shape| Regex::new(shape).ok();
    Some([
        compiled(r"\x1b\[[0-9;]*m")?,
        compiled(r"https?://[^\s\x1b]+")?,
        compiled(r"(?m)^\s+([A-Z0-9]{3,}(?:-[A-Z0-9]{3,})+)\s*\n")?,
        compiled(r"expires in (\d{1,4}) minutes?")?,
    ])
});

/// Why there is no login. The texts differ between versions, so what isn't known is no more than a failure.
pub(super) fn refusal(printed: &str) -> DeviceRefusal {
    let has = |signs: &[&str]| signs.iter().any(|sign| printed.contains(sign));
    match () {
        () if has(&["device auth timed out", "expired_token"]) => DeviceRefusal::Expired,
        // While a person hasn't answered yet the issuer says 403 or 404, which the CLI takes for "ask again".
        () if has(&["device auth failed with status 4", "access_denied"]) => DeviceRefusal::Denied,
        _ => DeviceRefusal::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codex 0.163, with standard output in a file and NO_COLOR=1.
    const PRINTED: &str = "\nWelcome to Codex [v\u{1b}[90m0.163.0\u{1b}[0m]\n\u{1b}[90mOpenAI's command-line coding agent\u{1b}[0m\n\n\
        Follow these steps to sign in with ChatGPT using device code authorization:\n\n\
        1. Open this link in your browser and sign in to your account\n   \u{1b}[94mhttps://auth.openai.com/codex/device\u{1b}[0m\n\n\
        2. Enter this one-time code \u{1b}[90m(expires in 15 minutes)\u{1b}[0m\n   \u{1b}[94mABCD-EFGH\u{1b}[0m\n\n\
        \u{1b}[90mContinue only if you started this login in Codex. If a website or another person gave you this code, cancel.\u{1b}[0m\n\n";

    #[test]
    fn page_and_code_are_found_among_the_colours() {
        let found = code(PRINTED).unwrap();
        assert_eq!(found.verification_url, "https://auth.openai.com/codex/device");
        assert_eq!((found.user_code.as_str(), found.expires_in.as_secs()), ("ABCD-EFGH", 900));
        let hasty = PRINTED.replace("15 minutes", "1 minute").replace("ABCD-EFGH", "1234-ABCDE");
        let found = code(&hasty).unwrap();
        assert_eq!((found.user_code.as_str(), found.expires_in.as_secs()), ("1234-ABCDE", 60));
    }

    #[test]
    fn half_of_it_is_nothing() {
        let end = PRINTED.find("ABCD-EFGH").unwrap();
        for length in 0..=end + "ABCD-EFGH".len() {
            if let Some(beginning) = PRINTED.get(..length) {
                assert!(code(beginning).is_none(), "{beginning}");
            }
        }
    }

    #[test]
    fn a_refusal_is_told_from_a_failure() {
        let denied = "Error logging in with device code: device auth failed with status 400 Bad Request";
        assert_eq!(refusal(denied), DeviceRefusal::Denied);
        let late = "Error logging in with device code: device auth timed out after 15 minutes";
        assert_eq!(refusal(late), DeviceRefusal::Expired);
        for failed in [
            "Error logging in with device code: device auth failed with status 502 Bad Gateway",
            "Error logging in with device code: device code login is not enabled for this Codex server. Use the browser login or verify the server URL.",
            "Error logging in with device code: error sending request for url (https://auth.openai.com/api/accounts/deviceauth/usercode)",
            "",
        ] {
            assert_eq!(refusal(failed), DeviceRefusal::Failed, "{failed}");
        }
    }
}
