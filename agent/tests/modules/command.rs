//! `command`, `shell`.

use super::{check, flag, run, text};
use quorate_value::{Value, dict};

#[test]
fn output_and_codes() {
    let result = run("shell", dict! {"_raw_params" => "echo a; echo b >&2; printf '\\n\\n'; exit 3"});
    assert_eq!((text(&result, "stdout"), text(&result, "stderr")), ("a", "b"));
    assert_eq!(result.get("rc"), Some(&Value::Int(3)));
    assert_eq!(text(&result, "msg"), "non-zero return code");
    assert!(flag(&result, "failed") && flag(&result, "changed"));
    let result = run("command", dict! {"_raw_params" => "cat", "stdin" => "x"});
    assert_eq!(text(&result, "stdout"), "x");
    let result = run("command", dict! {"argv" => Value::list([Value::from("echo"), Value::from("a  b")])});
    assert_eq!(text(&result, "stdout"), "a  b");
}

#[test]
fn what_exists_decides() {
    let result = run("command", dict! {"_raw_params" => "false", "creates" => "/etc"});
    assert_eq!(text(&result, "msg"), "Did not run command since '/etc' exists");
    let result = run("command", dict! {"_raw_params" => "false", "removes" => "/nope"});
    assert_eq!(text(&result, "stdout"), "skipped, since /nope does not exist");
    let result = check("command", dict! {"_raw_params" => "false", "creates" => "/nope"});
    assert!(flag(&result, "changed") && !flag(&result, "skipped"));
    let result = check("command", dict! {"_raw_params" => "false"});
    assert!(!flag(&result, "changed") && flag(&result, "skipped"));
}

#[test]
fn failures_to_start() {
    let result = run("command", dict! {"_raw_params" => "nosuchcommand a b"});
    assert_eq!(text(&result, "msg"), "Error executing command.");
    assert_eq!(text(&result, "_cause"), "[Errno 2] No such file or directory: b'nosuchcommand'");
    let result = run("command", dict! {"_raw_params" => "ls", "chdir" => "/nope"});
    assert_eq!(text(&result, "msg"), "Unable to change directory before execution.");
    let result = run("command", dict! {"stdin" => "x"});
    assert_eq!(text(&result, "msg"), "one of the following is required: _raw_params, cmd, argv");
}
