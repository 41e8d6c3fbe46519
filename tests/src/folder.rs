use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder for the files of one test, gone when it is over.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// An empty one.
    #[expect(clippy::new_without_default, reason = "it makes something")]
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("taskcluster-proxy-tests-{}-folder-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("there is a place for temporary files");
        Self(path)
    }

    /// Where `name` is in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file that its owner alone can read: over another file of that name, as an editor
    /// does that writes beside it and renames.
    pub fn put(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let (path, beside) = (self.path(name), self.path(".beside"));
        std::fs::write(&beside, contents).expect("the folder can be written to");
        restrict(&beside);
        std::fs::rename(&beside, &path).expect("a file can be renamed");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The system clears its folder of temporary files some day.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(unix)]
fn restrict(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let owner_alone = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, owner_alone).expect("the owner may");
}

#[cfg(not(unix))]
fn restrict(_: &Path) {}
