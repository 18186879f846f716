//! Messages and conversions, each recorded from ansible-core 2.19.

use super::*;
use crate::spec::{Param, RequiredIf};
use quorate_value::repr;

fn run(params: &'static [Param], rules: Rules, given: Dict) -> String {
    let spec = Spec::new("m", "").params(params).rules(rules);
    let home = [("HOME".to_owned(), "/root".to_owned())];
    let checked = check(&spec, "m", &given, Place::Host(&home));
    match checked.error {
        Some(complaint) => complaint.msg,
        None => repr(&Value::dict(checked.args)),
    }
}

fn one(kind: Kind, value: impl Into<Value>) -> String {
    let home = [("HOME".to_owned(), "/root".to_owned())];
    match convert(kind, &value.into(), Place::Host(&home)) {
        Ok(value) => repr(&value),
        Err(why) => why,
    }
}

#[test]
fn conversions() {
    assert_eq!(one(Kind::Int, "x"), "\"'x'\" cannot be converted to an int");
    assert_eq!(one(Kind::Int, "1.5"), "\"'1.5'\" cannot be converted to an int");
    assert_eq!(one(Kind::Int, "1.0"), "1");
    assert_eq!(one(Kind::Int, Value::list([Value::Int(1)])), "\"[1]\" cannot be converted to an int");
    assert_eq!(one(Kind::Float, "x"), "<class 'str'> cannot be converted to a float");
    assert_eq!(one(Kind::Bool, "yes"), "True");
    assert_eq!(one(Kind::Bool, Value::list([])), "<class 'list'> cannot be converted to a bool");
    assert_eq!(one(Kind::List, "x,y"), "['x', 'y']");
    assert_eq!(one(Kind::List, 3i64), "['3']");
    assert_eq!(one(Kind::List, Value::from(Dict::new())), "<class 'dict'> cannot be converted to a list");
    assert_eq!(one(Kind::Dict, "x=1,y=2"), "{'x': '1', 'y': '2'}");
    assert_eq!(one(Kind::Dict, "x=1 y=\"2 3\""), "{'x': '1', 'y': '2 3'}");
    assert_eq!(one(Kind::Dict, r#"{"x": 1}"#), "{'x': 1}");
    assert_eq!(one(Kind::Dict, "{'x': 1, 'y': [1, None]}"), "{'x': 1, 'y': [1, None]}");
    assert_eq!(one(Kind::Dict, "{x"), "unable to evaluate string as dictionary");
    assert_eq!(one(Kind::Dict, "xx"), "dictionary requested, could not parse JSON or key=value");
    assert_eq!(one(Kind::Str, Value::from(dict! {"a" => true})), "\"{'a': True}\"");
    assert_eq!(one(Kind::Str, 1.5), "'1.5'");
    assert_eq!(one(Kind::JsonArg, Value::from(dict! {"a" => 1i64})), "'{\"a\": 1}'");
    assert_eq!(one(Kind::Json, 3i64), "<class 'int'> cannot be converted to a json string");
    assert_eq!(one(Kind::Bytes, "1K"), "1024");
    assert_eq!(one(Kind::Bytes, "1.5Mb"), "<class 'str'> cannot be converted to a Byte value");
    assert_eq!(one(Kind::Bits, "1Mb"), "1048576");
    assert_eq!(one(Kind::Path, "~/x/$HOME"), "'/root/x//root'");
    assert_eq!(one(Kind::Path, "$nope/${nope2}"), "'$nope/${nope2}'");
}

const AB: &[Param] = &[Param::str("a"), Param::str("b"), Param::str("c")];

#[test]
fn rules_between_parameters() {
    let both = Rules { mutually_exclusive: &[&["a", "b"], &["b", "c"]], ..Rules::NONE };
    assert_eq!(run(AB, both, dict! {"a" => 1i64, "b" => 2i64}), "parameters are mutually exclusive: a|b");
    assert_eq!(
        run(AB, both, dict! {"a" => 1i64, "b" => 2i64, "c" => 3i64}),
        "parameters are mutually exclusive: a|b, b|c"
    );
    let one_of = Rules { required_one_of: &[&["a", "b"]], ..Rules::NONE };
    assert_eq!(run(AB, one_of, dict! {}), "one of the following is required: a, b");
    let together = Rules { required_together: &[&["a", "b", "c"]], ..Rules::NONE };
    assert_eq!(run(AB, together, dict! {"a" => 1i64}), "parameters are required together: a, b, c");
    const NEEDS: &[RequiredIf] = &[RequiredIf::str("a", "1", &["b", "c"])];
    let needs = Rules { required_if: NEEDS, ..Rules::NONE };
    assert_eq!(run(AB, needs, dict! {"a" => 1i64}), "a is 1 but all of the following are missing: b, c");
    const ANY: &[RequiredIf] = &[RequiredIf::str("a", "1", &["b", "c"]).any()];
    let any = Rules { required_if: ANY, ..Rules::NONE };
    assert_eq!(run(AB, any, dict! {"a" => 1i64}), "a is 1 but any of the following are missing: b, c");
    let by = Rules { required_by: &[("a", &["b", "c"])], ..Rules::NONE };
    assert_eq!(run(AB, by, dict! {"a" => 1i64}), "missing parameter(s) required by 'a': b, c");
}

#[test]
fn names_choices_and_defaults() {
    const NAMES: &[Param] = &[Param::str("a").required(), Param::str("b").aliases(&["bb", "b2"])];
    assert_eq!(run(NAMES, Rules::NONE, dict! {}), "missing required arguments: a");
    assert_eq!(
        run(NAMES, Rules::NONE, dict! {"a" => 1i64, "z" => 3i64, "y" => 3i64}),
        "Unsupported parameters for (m) module: y, z. Supported parameters include: a, b (b2, bb)."
    );
    assert_eq!(run(NAMES, Rules::NONE, dict! {"a" => 1i64, "b2" => 2i64}), "{'a': '1', 'b2': 2, 'b': '2'}");
    const STATE: &[Param] = &[Param::str("state").choices(&["x", "no"]).default_str("x")];
    assert_eq!(run(STATE, Rules::NONE, dict! {"state" => false}), "{'state': 'no'}");
    assert_eq!(
        run(STATE, Rules::NONE, dict! {"state" => "q"}),
        "value of state must be one of: x, no, got: q"
    );
    const MANY: &[Param] = &[Param::list("a", Kind::Str).choices(&["a", "b"])];
    assert_eq!(
        run(MANY, Rules::NONE, dict! {"a" => "a,c,d"}),
        "value of a must be one or more of: a, b. Got no match for: c, d"
    );
    const NUMBER: &[Param] = &[Param::list("a", Kind::Int)];
    assert_eq!(
        run(NUMBER, Rules::NONE, dict! {"a" => "1,y"}),
        "Elements value for option 'a' is of type str and we were unable to convert to int: \"'y'\" cannot be converted to an int"
    );
    const INT: &[Param] = &[Param::int("a")];
    assert_eq!(
        run(INT, Rules::NONE, dict! {"a" => "x"}),
        "argument 'a' is of type str and we were unable to convert to int: \"'x'\" cannot be converted to an int"
    );
}

#[test]
fn options_inside() {
    const INNER: &[Param] = &[
        Param::int("x").required(),
        Param::str("y").choices(&["q"]).aliases(&["yy"]),
        Param::str("p").no_log(),
    ];
    const OUTER: &[Param] = &[Param::new("o", Kind::Dict).options(INNER)];
    let o = |entries: Dict| dict! {"o" => entries};
    assert_eq!(run(OUTER, Rules::NONE, o(dict! {})), "missing required arguments: x found in o");
    assert_eq!(
        run(OUTER, Rules::NONE, o(dict! {"x" => "k"})),
        "argument 'x' is of type str found in 'o'. and we were unable to convert to int: \"'k'\" cannot be converted to an int"
    );
    assert_eq!(
        run(OUTER, Rules::NONE, o(dict! {"x" => "1", "y" => "z"})),
        "value of y must be one of: q, got: z found in o"
    );
    assert_eq!(
        run(OUTER, Rules::NONE, o(dict! {"x" => "1", "zz" => "z"})),
        "Unsupported parameters for (m) module: o.zz. Supported parameters include: p, x, y (yy)."
    );
    assert_eq!(run(OUTER, Rules::NONE, dict! {"o" => "x=1"}), "{'o': {'x': 1, 'y': None, 'p': None}}");
    assert_eq!(run(OUTER, Rules::NONE, dict! {}), "{'o': None}");
    const FILL: &[Param] =
        &[Param::new("o", Kind::Dict).options(&[Param::int("x").default_int(3)]).apply_defaults()];
    assert_eq!(run(FILL, Rules::NONE, dict! {}), "{'o': {'x': 3}}");
}

#[test]
fn secrets_are_collected_and_hints_given() {
    const PARAMS: &[Param] = &[Param::str("token").no_log(), Param::str("state")];
    static SPEC: Spec = Spec::new("m", "").params(PARAMS);
    let checked = check(&SPEC, "m", &dict! {"token" => "s3", "stat" => "x"}, Place::Controller);
    assert!(checked.secrets.contains("s3"));
    assert_eq!(checked.error.unwrap().hint.unwrap(), "did you mean `state` instead of `stat`?");
}
