//! The image as a file: an OCI image layout in a tar archive, which container tools load or push as it is.
//!
//! Nothing in it depends on when or by whom it was made: the same binary gives the same bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// What OCI calls this machine's processor.
fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => anyhow::bail!("no image is made for {other}"),
    }
}

/// Puts a root file system into `hopscope-VERSION-ARCHITECTURE.oci.tar` beside it.
pub(super) fn make(root_file_system: &Path, version: &str) -> Result<PathBuf> {
    let architecture = architecture()?;
    let beside = root_file_system.with_extension("oci");
    if beside.exists() {
        fs::remove_dir_all(&beside).with_context(|| format!("clearing {}", beside.display()))?;
    }
    let blobs = beside.join("blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| format!("making {}", blobs.display()))?;

    let layer = beside.join("layer.tar");
    pack(root_file_system, &layer)?;
    let layer = blob(
        &blobs,
        &fs::read(&layer)?,
        "application/vnd.oci.image.layer.v1.tar",
    )
    .and_then(|descriptor| {
        fs::remove_file(&layer)?;
        Ok(descriptor)
    })?;
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": {
            "Entrypoint": ["/hopscope"],
            "Cmd": ["agent"],
            "ExposedPorts": {"9464/tcp": {}},
            "Labels": {"org.opencontainers.image.version": version},
        },
        // One layer that is not compressed: its digest is that of its content.
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    });
    let config = blob(
        &blobs,
        config.to_string().as_bytes(),
        "application/vnd.oci.image.config.v1+json",
    )?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": [layer],
    });
    let mut manifest = blob(
        &blobs,
        manifest.to_string().as_bytes(),
        "application/vnd.oci.image.manifest.v1+json",
    )?;
    manifest["platform"] = json!({"architecture": architecture, "os": "linux"});
    // containerd calls an imported image by the first, and Docker by the second as its tag.
    manifest["annotations"] = json!({
        "io.containerd.image.name": format!("docker.io/library/hopscope:{version}"),
        "org.opencontainers.image.ref.name": version,
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [manifest],
    });
    fs::write(beside.join("index.json"), index.to_string())?;
    fs::write(beside.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;

    let archive = root_file_system.with_file_name(format!("hopscope-{version}-{architecture}.oci.tar"));
    pack(&beside, &archive)?;
    fs::remove_dir_all(&beside).with_context(|| format!("removing {}", beside.display()))?;
    Ok(archive)
}

/// Keeps content under its digest, and gives its descriptor.
fn blob(blobs: &Path, content: &[u8], media_type: &str) -> Result<Value> {
    let file = blobs.join("content");
    fs::write(&file, content)?;
    let said = said(Command::new("sha256sum").arg("--binary").arg(&file))?;
    let digest = said.split(' ').next().unwrap_or_default();
    ensure!(digest.len() == 64, "sha256sum says {said}");
    fs::rename(&file, blobs.join(digest))?;
    Ok(json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": content.len()}))
}

/// A tar archive of what is in a folder, root's, and as old as time.
fn pack(folder: &Path, archive: &Path) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.args(["--create", "--format=ustar", "--sort=name", "--mtime=@0"])
        .args(["--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX"])
        .arg("--file")
        .arg(archive)
        .arg("--directory")
        .arg(folder)
        .arg(".");
    said(&mut tar).map(|_| ())
}

fn said(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("running {name}"))?;
    ensure!(
        output.status.success(),
        "{name} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(folder: &Path, descriptor: &Value) -> Vec<u8> {
        let digest = descriptor["digest"].as_str().unwrap();
        let file = folder
            .join("blobs/sha256")
            .join(digest.strip_prefix("sha256:").unwrap());
        let content = fs::read(file).unwrap();
        assert_eq!(descriptor["size"], content.len());
        content
    }

    #[test]
    fn an_archive_holds_the_program_and_how_it_is_started_and_is_the_same_every_time() {
        let folder = tempfile::tempdir().unwrap();
        let system = folder.path().join("dist");
        fs::create_dir_all(system.join("etc/hopscope")).unwrap();
        fs::write(system.join("hopscope"), "the program").unwrap();
        let archive = make(&system, "1.2.3").unwrap();
        let first = fs::read(&archive).unwrap();
        assert_eq!(first, fs::read(make(&system, "1.2.3").unwrap()).unwrap());

        let unpacked = folder.path().join("unpacked");
        fs::create_dir(&unpacked).unwrap();
        let unpack = |archive: &Path| {
            let mut tar = Command::new("tar");
            tar.arg("--extract").arg("--file").arg(archive).arg("--directory");
            said(tar.arg(&unpacked)).unwrap();
        };
        unpack(&archive);
        let index: Value = serde_json::from_slice(&fs::read(unpacked.join("index.json")).unwrap()).unwrap();
        let manifest: Value = serde_json::from_slice(&read(&unpacked, &index["manifests"][0])).unwrap();
        let config: Value = serde_json::from_slice(&read(&unpacked, &manifest["config"])).unwrap();
        assert_eq!(config["config"]["Entrypoint"], json!(["/hopscope"]));
        assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
        let layer = unpacked.join("layer.tar");
        fs::write(&layer, read(&unpacked, &manifest["layers"][0])).unwrap();
        unpack(&layer);
        assert_eq!(fs::read(unpacked.join("hopscope")).unwrap(), b"the program");
        assert!(unpacked.join("etc/hopscope").is_dir());
    }
}
