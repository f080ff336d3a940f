//! JSON as Jackson writes it with indentation, which is what scripts that look for a line expect: two blanks for each level of
//! objects, ` : ` behind a name, lists on one line, objects in them on lines of their own.

use std::fmt::Write as _;

use crate::admin::java_number::double;

/// A value; objects keep the order in which they were filled.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number without a fraction.
    Whole(i64),
    /// A number with one; what is no number is a text.
    Real(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// Names with values.
    Object(Vec<(String, Json)>),
}

/// Names with values, in order.
pub type Fields = Vec<(String, Json)>;

/// One of them.
pub fn field(name: &str, value: impl Into<Json>) -> (String, Json) {
    (name.to_owned(), value.into())
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Json::Bool(value)
    }
}

impl From<i64> for Json {
    fn from(value: i64) -> Self {
        Json::Whole(value)
    }
}

impl From<u64> for Json {
    fn from(value: u64) -> Self {
        Json::Whole(value as i64)
    }
}

impl From<usize> for Json {
    fn from(value: usize) -> Self {
        Json::Whole(value as i64)
    }
}

impl From<f64> for Json {
    fn from(value: f64) -> Self {
        Json::Real(value)
    }
}

impl From<String> for Json {
    fn from(value: String) -> Self {
        Json::Text(value)
    }
}

impl From<&str> for Json {
    fn from(value: &str) -> Self {
        Json::Text(value.to_owned())
    }
}

impl From<Fields> for Json {
    fn from(value: Fields) -> Self {
        Json::Object(value)
    }
}

impl FromIterator<Json> for Json {
    fn from_iter<I: IntoIterator<Item = Json>>(values: I) -> Self {
        Json::List(values.into_iter().collect())
    }
}

impl Json {
    /// The whole text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, 0);
        text
    }

    fn write(&self, text: &mut String, level: usize) {
        let _ = match self {
            Json::Null => write!(text, "null"),
            Json::Bool(value) => write!(text, "{value}"),
            Json::Whole(value) => write!(text, "{value}"),
            Json::Real(value) if value.is_finite() => write!(text, "{}", double(*value)),
            Json::Real(value) => write!(text, "\"{}\"", double(*value)),
            Json::Text(value) => return quote(text, value),
            Json::List(values) if values.is_empty() => write!(text, "[ ]"),
            Json::Object(fields) if fields.is_empty() => write!(text, "{{ }}"),
            Json::List(values) => {
                for (number, value) in values.iter().enumerate() {
                    text.push_str(if number == 0 { "[ " } else { ", " });
                    value.write(text, level);
                }
                write!(text, " ]")
            }
            Json::Object(fields) => {
                let indent = level + 1;
                for (number, (name, value)) in fields.iter().enumerate() {
                    let _ = write!(text, "{}\n{:2$}", if number == 0 { "{" } else { "," }, "", 2 * indent);
                    quote(text, name);
                    text.push_str(" : ");
                    value.write(text, indent);
                }
                write!(text, "\n{:1$}}}", "", 2 * level)
            }
        };
    }
}

fn quote(text: &mut String, value: &str) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            control if control < ' ' => {
                let _ = write!(text, "\\u{:04X}", u32::from(control));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_like_jacksons() {
        let connection = |port: i64| Json::Object(vec![field("port", port), field("avg", 0.5)]);
        let json = Json::Object(vec![
            field("connections", Json::List(vec![connection(1), connection(2)])),
            field("none", Json::List(Vec::new())),
            field("nothing", Vec::new()),
            field("ids", Json::List(vec![1i64.into(), 2i64.into()])),
            field("nan", f64::NAN),
            field("text", "a\"\\\n\u{1}ä"),
            field("error", Json::Null),
        ]);
        let text = r#"{
  "connections" : [ {
    "port" : 1,
    "avg" : 0.5
  }, {
    "port" : 2,
    "avg" : 0.5
  } ],
  "none" : [ ],
  "nothing" : { },
  "ids" : [ 1, 2 ],
  "nan" : "NaN",
  "text" : "a\"\\\n\u0001ä",
  "error" : null
}"#;
        assert_eq!(json.text(), text);
    }
}
