//! Puts the skills of `deploy/skills` into the program, with the modes that their programs have there.

use std::{
    env, fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

const FROM: &str = "../deploy/skills";

fn main() -> io::Result<()> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?).join(FROM);
    println!("cargo::rerun-if-changed={FROM}");
    let mut files = Vec::new();
    gather(&root, &mut files)?;
    files.sort();
    let mut made = String::from("&[\n");
    for file in files {
        let path = file.strip_prefix(&root).map_err(io::Error::other)?;
        let executable = fs::metadata(&file)?.permissions().mode() & 0o100 != 0;
        made += &format!("    File {{ path: {path:?}, executable: {executable}, content: include_bytes!({file:?}) }},\n");
    }
    let to = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    fs::write(to.join("bundle.rs"), made + "]\n")
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            // What Python has left of a try.
            true if entry.file_name() == "__pycache__" => {}
            true => gather(&entry.path(), files)?,
            false => files.push(entry.path()),
        }
    }
    Ok(())
}
