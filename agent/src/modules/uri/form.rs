//! Bodies: JSON, forms, forms with files.

use super::raw_text;
use base64::Engine as _;
use quorate_value::{Value, str_of, to_json};

type Encoded = (Vec<u8>, Option<String>);

/// A body's bytes and its type.
pub(super) fn encode(format: &str, body: &Value) -> Result<Encoded, String> {
    match format {
        "json" => {
            let text = match body {
                Value::Str(text) => text.as_str().to_owned(),
                other => to_json(other),
            };
            Ok((text.into_bytes(), Some("application/json".into())))
        }
        "form-urlencoded" => {
            let text = match body {
                Value::Str(text) => text.as_str().to_owned(),
                other => pairs(other)?
                    .iter()
                    .map(|(key, value)| format!("{}={}", quote(key), quote(value)))
                    .collect::<Vec<_>>()
                    .join("&"),
            };
            Ok((text.into_bytes(), Some("application/x-www-form-urlencoded".into())))
        }
        "form-multipart" => multipart(body),
        _ => Ok((raw_text(body).into_bytes(), None)),
    }
}

/// Keys and values, lists spread out as Python's `urlencode(doseq=True)` does.
fn pairs(body: &Value) -> Result<Vec<(String, String)>, String> {
    let mut found = Vec::new();
    let mut add = |key: String, value: &Value| match value {
        Value::List(items) => found.extend(items.iter().map(|item| (key.clone(), str_of(item)))),
        other => found.push((key, str_of(other))),
    };
    match body {
        Value::Dict(entries) => {
            entries.iter().for_each(|(key, value)| add(key.json_text().into_owned(), value));
        }
        Value::List(items) => {
            for item in items.iter() {
                match item.as_list() {
                    Some([key, value]) => add(str_of(key), value),
                    _ => return Err("failed to parse body as form_urlencoded: not a valid non-string sequence or mapping object".into()),
                }
            }
        }
        other => return Err(format!("failed to parse body as form_urlencoded: {}", str_of(other))),
    }
    Ok(found)
}

/// Python's `quote_plus`.
fn quote(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            byte => out += &format!("%{byte:02X}"),
        }
    }
    out
}

fn multipart(body: &Value) -> Result<Encoded, String> {
    let Value::Dict(fields) = body else {
        return Err("failed to parse body as form-multipart: Mapping is required".into());
    };
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for (name, value) in fields.iter() {
        parts.push(part(&name.json_text(), value)?);
    }
    // Something that no part contains.
    let mut number = 0u64;
    let boundary = loop {
        let boundary = format!("quorate-boundary-{number:016x}");
        let inside =
            |part: &Vec<u8>| part.windows(boundary.len()).any(|window| window == boundary.as_bytes());
        if !parts.iter().any(inside) {
            break boundary;
        }
        number += 1;
    };
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        bytes.extend_from_slice(&part);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok((bytes, Some(format!("multipart/form-data; boundary=\"{boundary}\""))))
}

/// One field: text, or a mapping with `filename`, `content`, `mime_type`.
fn part(name: &str, value: &Value) -> Result<Vec<u8>, String> {
    let clean = |text: &str| text.replace(['\r', '\n', '"'], "_");
    let name = clean(name);
    let Some(entries) = value.as_dict() else {
        let head =
            format!("Content-Disposition: form-data; name=\"{name}\"\r\nContent-Type: text/plain\r\n\r\n");
        return Ok([head.as_bytes(), str_of(value).as_bytes()].concat());
    };
    let text = |key: &str| entries.get(key).filter(|value| !value.is_null()).map(str_of);
    let (filename, content) = (text("filename"), text("content"));
    let bytes = match (&content, &filename) {
        (Some(content), _) if text("multipart_encoding").as_deref() == Some("base64") => {
            base64::engine::general_purpose::STANDARD
                .decode(content)
                .map_err(|error| format!("the content of `{name}` is no base64: {error}"))?
        }
        (Some(content), _) => content.clone().into_bytes(),
        (None, Some(file)) => {
            std::fs::read(file).map_err(|error| format!("could not read {file}: {error}"))?
        }
        (None, None) => return Err("at least one of filename or content must be provided".into()),
    };
    let kind = text("mime_type").unwrap_or_else(|| {
        if filename.is_some() { "application/octet-stream".into() } else { "text/plain".into() }
    });
    let shown = filename.map(|file| {
        let base = file.rsplit('/').next().unwrap_or_default().to_owned();
        format!("; filename=\"{}\"", clean(&base))
    });
    let head = format!(
        "Content-Disposition: form-data; name=\"{name}\"{}\r\nContent-Type: {}\r\n\r\n",
        shown.unwrap_or_default(),
        clean(&kind)
    );
    Ok([head.as_bytes(), &bytes].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_value::from_json_str;

    fn text(format: &str, json: &str) -> String {
        let body = from_json_str(json).unwrap();
        match encode(format, &body) {
            Ok((bytes, _)) => String::from_utf8(bytes).unwrap(),
            Err(why) => why,
        }
    }

    #[rustfmt::skip] // read in columns
    #[test]
    fn bodies() {
        for (format, json, expected) in [
            ("json",            r#"{"a":1,"b":[1,2]}"#,               r#"{"a": 1, "b": [1, 2]}"#),
            ("json",            r#""{\"a\": 1}""#,                    r#"{"a": 1}"#),
            ("form-urlencoded", r#"{"a":1,"b":[1,2],"c d":"é&"}"#,    "a=1&b=1&b=2&c+d=%C3%A9%26"),
            ("form-urlencoded", r#"[["a","1"],["a","2"]]"#,           "a=1&a=2"),
            ("form-urlencoded", r#""a=b""#,                           "a=b"),
            ("raw",             r#""text""#,                          "text"),
        ] {
            assert_eq!(text(format, json), expected, "{json}");
        }
    }

    #[test]
    fn forms_with_files() {
        let json =
            r#"{"a": "x", "f": {"filename": "/tmp/n.bin", "content": "data", "mime_type": "image/png"}}"#;
        let made = text("form-multipart", json);
        assert!(made.contains("name=\"a\"\r\nContent-Type: text/plain\r\n\r\nx\r\n"), "{made}");
        assert!(
            made.contains("name=\"f\"; filename=\"n.bin\"\r\nContent-Type: image/png\r\n\r\ndata\r\n"),
            "{made}"
        );
        assert!(text("form-multipart", "{\"f\": {}}").contains("at least one of"));
    }
}
