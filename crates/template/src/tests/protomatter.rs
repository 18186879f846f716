//! `ansible._protomatter`: tests about the tags of values.

use super::{Test, test};
use crate::error::Result;
use crate::eval::{Args, Vm};
use crate::filters::tags;
use crate::rt::V;

pub(super) static TESTS: [Test; 2] =
    [test("ansible._protomatter.tagged", tagged), test("ansible._protomatter.tagged_with", tagged_with)];

fn tagged(_: &Vm, args: Args) -> Result<bool> {
    let [value] = args.bind("tagged", ["value"], 1)?;
    Ok(!tags(&value.unwrap_or(V::Null)).is_empty())
}

fn tagged_with(vm: &Vm, args: Args) -> Result<bool> {
    let [value, tag] = args.bind("tagged_with", ["value", "tag_name"], 2)?;
    let tag = vm.to_text(&tag.unwrap_or(V::Null))?;
    Ok(tags(&value.unwrap_or(V::Null)).contains(&tag.as_str()))
}
