//! What names a repository: `owner/name`, or a git URL.

use super::Error;

/// Longest name or URL, in characters.
const MAX: usize = 512;

/// Checks a repository as a client gives it. Whether it exists is for discover to find out.
///
/// # Errors
///
/// `INVALID_REPOSITORY`, with what is wrong.
pub fn check(repository: &str) -> Result<(), Error> {
    let wrong = if repository.is_empty() {
        "is empty"
    } else if repository.chars().count() > MAX {
        "is longer than 512 characters"
    } else if repository.starts_with('-') || repository.contains(|c: char| c.is_control() || c.is_whitespace()) {
        "begins with a dash, or holds white space"
    } else if has_password(repository) {
        "holds a password or token, which would be stored and shown: leave it out and set GITHUB_TOKEN on the workers"
    } else if is_owner_and_name(repository) || is_url(repository) {
        return Ok(());
    } else {
        "is neither"
    };
    let message = format!("repository {wrong}: give owner/name, or a git URL (https://, ssh://, file:// or git@host:path)");
    Err(Error::invalid("repository", "INVALID_REPOSITORY", message))
}

fn is_owner_and_name(text: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty() && part != "." && part != ".." && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    text.split_once('/').is_some_and(|(owner, name)| plain(owner) && plain(name))
}

fn is_url(text: &str) -> bool {
    if let Some((scheme, rest)) = text.split_once("://") {
        let has_path = rest.find('/').is_some_and(|at| rest.len() > at + 1);
        return match scheme {
            "https" | "http" | "ssh" => has_path && !rest.starts_with('/') && url::Url::parse(text).is_ok(),
            "file" => rest.starts_with('/') && rest.len() > 1,
            _ => false,
        };
    }
    // The short form of ssh: `git@host:path`.
    text.split_once(':').is_some_and(|(host, path)| {
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        !host.is_empty() && !host.contains('/') && !path.is_empty()
    })
}

fn has_password(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| url.password().is_some() || (url.scheme().starts_with("http") && !url.username().is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_urls_are_told_from_nonsense() {
        for good in [
            "octo/hello",
            "octo/hello.world_1-2",
            "https://github.com/octo/hello.git",
            "ssh://git@example.com:2222/octo/hello.git",
            "git@github.com:octo/hello.git",
            "file:///srv/git/hello.git",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "hello",
            "octo/",
            "/hello",
            "octo/../x",
            "octo/hello/more",
            "octo/..",
            "--upload-pack=x",
            "ext::sh -c id",
            "https://",
            "https://host",
            "https:///path",
            "ftp://host/x",
            "file://",
            "a b/c",
            "https://user:secret@host/x.git",
            "https://token@host/x.git",
        ] {
            assert_eq!(check(bad).unwrap_err().reason, "INVALID_REPOSITORY", "{bad}");
        }
    }
}
