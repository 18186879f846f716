//! Tests about the controller's files, asked through the world.

use super::{Test, test};
use crate::error::{Error, Result};
use crate::eval::{Args, Vm};
use crate::host::Files;
use crate::rt::V;
use quorate_value::Str;
use std::path::Path;

pub(super) static TESTS: [Test; 15] = [
    test("abs", is_abs),
    test("directory", is_dir),
    test("exists", exists),
    test("file", is_file),
    test("is_abs", is_abs),
    test("is_dir", is_dir),
    test("is_file", is_file),
    test("is_link", is_link),
    test("is_mount", is_mount),
    test("is_same_file", same_file),
    test("link", is_link),
    test("link_exists", link_exists),
    test("mount", is_mount),
    test("same_file", same_file),
    test("vaulted_file", vaulted_file),
];

fn only(vm: &Vm, args: Args, name: &'static str) -> Result<Str> {
    let [path] = args.bind(name, ["path"], 1)?;
    text(vm, path)
}

fn text(vm: &Vm, value: Option<V>) -> Result<Str> {
    match value.unwrap_or(V::Null) {
        V::Str(text) => Ok(text),
        V::Undefined(error) => Err((*error).clone()),
        other => {
            let _ = vm;
            Err(Error::runtime(format!(
                "expected str, bytes or os.PathLike object, not {}",
                other.type_name()
            )))
        }
    }
}

fn files<'v>(vm: &'v Vm) -> Result<&'v dyn Files> {
    vm.saw_impure();
    vm.ctx.world.files().ok_or_else(|| Error::runtime("the controller's files cannot be asked about here"))
}

fn is_abs(vm: &Vm, args: Args) -> Result<bool> {
    Ok(only(vm, args, "isabs")?.starts_with('/'))
}

fn exists(vm: &Vm, args: Args) -> Result<bool> {
    let path = only(vm, args, "exists")?;
    Ok(files(vm)?.exists(Path::new(path.as_str())))
}

fn link_exists(vm: &Vm, args: Args) -> Result<bool> {
    let path = only(vm, args, "lexists")?;
    let path = Path::new(path.as_str());
    let files = files(vm)?;
    Ok(files.exists(path) || files.is_link(path))
}

fn is_dir(vm: &Vm, args: Args) -> Result<bool> {
    let path = only(vm, args, "isdir")?;
    Ok(files(vm)?.is_dir(Path::new(path.as_str())))
}

fn is_file(vm: &Vm, args: Args) -> Result<bool> {
    let path = only(vm, args, "isfile")?;
    Ok(files(vm)?.is_file(Path::new(path.as_str())))
}

fn is_link(vm: &Vm, args: Args) -> Result<bool> {
    let path = only(vm, args, "islink")?;
    Ok(files(vm)?.is_link(Path::new(path.as_str())))
}

fn is_mount(vm: &Vm, args: Args) -> Result<bool> {
    let path = only(vm, args, "ismount")?;
    Ok(files(vm)?.is_mount(Path::new(path.as_str())))
}

fn same_file(vm: &Vm, args: Args) -> Result<bool> {
    let [a, b] = args.bind("samefile", ["f1", "f2"], 2)?;
    let (a, b) = (text(vm, a)?, text(vm, b)?);
    files(vm)?
        .same_file(Path::new(a.as_str()), Path::new(b.as_str()))
        .ok_or_else(|| Error::runtime(format!("[Errno 2] No such file or directory: '{}'", a.as_str())))
}

fn vaulted_file(vm: &Vm, args: Args) -> Result<bool> {
    let path = only(vm, args, "vaulted_file")?;
    files(vm)?
        .begins_with(Path::new(path.as_str()), b"$ANSIBLE_VAULT;")
        .ok_or_else(|| Error::runtime(format!("Cannot test if the file {} is a vault", path.as_str())))
}
