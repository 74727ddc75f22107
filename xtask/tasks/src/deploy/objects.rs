//! Rendered objects, and how their fields are read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::workspace;

/// Keeps what was rendered below target/deploy, for whoever wants to read it, and reads it.
pub(super) fn kept(root: &Path, name: &str, text: &str) -> Result<(PathBuf, Vec<Value>)> {
    let folder = workspace::target(root).join("deploy");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let file = folder.join(format!("{name}.yaml"));
    fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    let objects = read(&file)?;
    Ok((file, objects))
}

/// The rendered objects, which kubectl turns into JSON without asking any server.
fn read(file: &Path) -> Result<Vec<Value>> {
    let text = run(Command::new("kubectl")
        .args([
            "annotate",
            "--local",
            "--output=json",
            "hopscope/read=yes",
            "--filename",
        ])
        .arg(file)
        .env("KUBECONFIG", "/dev/null"))?;
    let objects: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&text).into_iter().collect();
    let objects = objects.context("what kubectl made of the objects")?;
    ensure!(!objects.is_empty(), "{} renders to nothing", file.display());
    Ok(objects)
}

/// The only object of a kind.
pub(super) fn the<'a>(objects: &'a [Value], kind: &str) -> Result<&'a Value> {
    let mut of_kind = objects.iter().filter(|object| object["kind"] == kind);
    match (of_kind.next(), of_kind.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => bail!("there is no {kind}"),
        (Some(_), Some(_)) => bail!("there is more than one {kind}"),
    }
}

/// A text at a JSON pointer.
pub(super) fn text_of<'a>(object: &'a Value, pointer: &str) -> Result<&'a str> {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .with_context(|| format!("{pointer} is missing in {object}"))
}

/// A list at a JSON pointer.
pub(super) fn list<'a>(object: &'a Value, pointer: &str) -> Result<&'a Vec<Value>> {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .with_context(|| format!("{pointer} is missing in {object}"))
}

/// What a program says on both streams; its failure is ours.
pub(super) fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().with_context(|| format!("running {name}"))?;
    let said = String::from_utf8(stdout).with_context(|| format!("what {name} says is no text"))?;
    let complaint = String::from_utf8_lossy(&stderr);
    ensure!(status.success(), "{name} ended with {status}:\n{said}{complaint}");
    Ok(said)
}
