//! Which proxy a request goes through, by the usual environment variables.

use super::{Url, auth};
use std::collections::HashMap;

/// A proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) authorization: Option<String>,
}

/// The proxy for a URL; none where `no_proxy` has its host.
pub(super) fn proxy_for(url: &Url, variables: &HashMap<String, String>) -> Option<Proxy> {
    let get = |name: &str| {
        let found = variables.get(name).or_else(|| variables.get(&name.to_uppercase()));
        found.map(|value| value.trim()).filter(|value| !value.is_empty())
    };
    if get("no_proxy").is_some_and(|list| is_excepted(&url.host, list)) {
        return None;
    }
    let text = get(&format!("{}_proxy", url.scheme)).or_else(|| get("all_proxy"))?;
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let mut proxy = Url::parse(&text)?;
    let authorization = proxy.take_credentials().map(|(user, password)| auth::basic(&user, &password));
    Some(Proxy { host: proxy.host, port: proxy.port, authorization })
}

fn is_excepted(host: &str, list: &str) -> bool {
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).any(|name| {
        let name = name.trim_start_matches('.').to_lowercase();
        name == "*" || host == name || host.ends_with(&format!(".{name}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stands_between() {
        let variables = HashMap::from([
            ("http_proxy".to_owned(), "http://u:p@proxy:3128".to_owned()),
            ("HTTPS_PROXY".to_owned(), "secure:3129".to_owned()),
            ("no_proxy".to_owned(), "localhost, .lan,10.0.0.1".to_owned()),
        ]);
        for (url, expected) in [
            ("http://example.org/", Some("proxy 3128 Basic dTpw")),
            ("https://example.org/", Some("secure 3129 -")),
            ("http://localhost/", None),
            ("http://db.lan/", None),
            ("http://10.0.0.1/", None),
        ] {
            let found = proxy_for(&Url::parse(url).unwrap(), &variables)
                .map(|p| format!("{} {} {}", p.host, p.port, p.authorization.as_deref().unwrap_or("-")));
            assert_eq!(found.as_deref(), expected, "{url}");
        }
    }
}
