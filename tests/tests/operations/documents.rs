//! The documents of the repository: links and file names are valid, each document can be reached, and the
//! requirements that code and tests refer to exist.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn relative_links_lead_to_files_and_headings() {
    let documents = documents();
    let mut dead = Vec::new();
    let mut count = 0;
    for (path, document) in &documents {
        for link in document.links.iter().filter(|link| is_relative(link)) {
            count += 1;
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = resolve(path, file);
            let is_valid = match documents.get(&target) {
                _ if heading.is_empty() => root().join(&target).exists(),
                Some(document) => document.headings.contains(heading),
                None => false,
            };
            if !is_valid {
                dead.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(dead.is_empty(), "invalid links:\n{}", dead.join("\n"));
    assert!(count > 30, "only {count} links were found");
}

#[test]
fn files_that_documents_name_exist() {
    const FOLDERS: [&str; 7] =
        ["core/", "docs/", "fixtures/", "native/", "release/", "tests/", "wasm/"];
    let mut missing = Vec::new();
    let mut count = 0;
    for (path, document) in documents() {
        for code in document.codes {
            let is_path = FOLDERS.iter().any(|folder| code.starts_with(folder))
                && code.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            if is_path {
                count += 1;
                if !root().join(&code).exists() {
                    missing.push(format!("{}: {code}", path.display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "documents name files that do not exist:\n{}", missing.join("\n"));
    assert!(count > 50, "only {count} files are named");
}

#[test]
fn each_document_can_be_reached_from_the_readme() {
    let documents = documents();
    let mut reached = BTreeSet::new();
    let mut next = vec![PathBuf::from("README.md")];
    while let Some(path) = next.pop() {
        let Some(document) = documents.get(&path).filter(|_| !reached.contains(&path)) else {
            continue;
        };
        let links = document.links.iter().filter(|link| is_relative(link));
        next.extend(links.map(|link| resolve(&path, link.split('#').next().unwrap_or_default())));
        reached.insert(path);
    }
    let in_docs = documents.keys().filter(|path| path.starts_with("docs"));
    let unreached: Vec<_> = in_docs.filter(|path| !reached.contains(*path)).collect();
    assert!(unreached.is_empty(), "no chain of links leads from README.md to {unreached:?}");
}

#[test]
fn requirements_and_headings_that_code_refers_to_exist() {
    let compatibility = read("docs/compatibility.md");
    let protocol = &documents()[Path::new("docs/protocol.md")].titles;
    let mut count = 0;
    for path in files(&["rs"]).iter().filter(|path| !path.ends_with("documents.rs")) {
        for line in read(path).lines() {
            for reference in line.split("docs/compatibility.md, ").skip(1) {
                let end = reference.find([')', '.', ';']).unwrap_or(reference.len());
                let numbers = reference[..end].split([',', ' ']).filter(|word| is_number(word));
                for number in numbers {
                    count += 1;
                    let is_there = compatibility.contains(&format!("**{number}.**"));
                    assert!(is_there, "{}: {number}", path.display());
                }
            }
            for reference in line.split("docs/protocol.md, \"").skip(1) {
                count += 1;
                let title = reference.split('"').next().unwrap_or_default();
                assert!(protocol.contains(title), "{}: {title:?}", path.display());
            }
        }
    }
    assert!(count > 20, "only {count} references were found");
}

/// The parts of a document that are checked.
#[derive(Default)]
struct Document {
    links: Vec<String>,
    /// Inline code.
    codes: Vec<String>,
    /// The text of headings, without markup.
    titles: BTreeSet<String>,
    /// The anchors of headings.
    headings: BTreeSet<String>,
}

/// All documents of the repository, by their path in it.
fn documents() -> BTreeMap<PathBuf, Document> {
    files(&["md"]).into_iter().map(|path| (path.clone(), parse(&read(&path)))).collect()
}

fn parse(text: &str) -> Document {
    let mut document = Document::default();
    let mut title: Option<String> = None;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                document.links.push(dest_url.into_string());
            }
            Event::Start(Tag::Heading { .. }) => title = Some(String::new()),
            Event::Text(text) => title.iter_mut().for_each(|title| title.push_str(&text)),
            Event::Code(code) => {
                title.iter_mut().for_each(|title| title.push_str(&code));
                document.codes.push(code.into_string());
            }
            Event::End(TagEnd::Heading(_)) => {
                if let Some(title) = title.take() {
                    document.headings.insert(anchor(&title));
                    document.titles.insert(title);
                }
            }
            _ => {}
        }
    }
    document
}

/// The anchor of a heading in GitHub's URLs.
fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn is_relative(link: &str) -> bool {
    !link.contains("://") && !link.starts_with("mailto:")
}

/// Whether this is the number of a requirement, such as S1, S5a or Q12.
fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix(['S', 'Q', 'F', 'A']);
    digits.is_some_and(|digits| digits.starts_with(|c: char| c.is_ascii_digit()))
}

/// The path in the repository of the target of a link in `document`.
fn resolve(document: &Path, link: &str) -> PathBuf {
    if link.is_empty() {
        return document.to_owned();
    }
    let mut path = document.parent().map(Path::to_owned).unwrap_or_default();
    for part in Path::new(link) {
        match part.to_str() {
            Some("..") => {
                assert!(path.pop(), "{}: {link} leads out of the repository", document.display())
            }
            Some(".") => {}
            _ => path.push(part),
        }
    }
    path
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of the repository with one of these extensions, by their path in it.
fn files(extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("a folder of the repository") {
            let entry = entry.expect("an entry of a folder");
            let name = entry.file_name().into_string().expect("a name in UTF-8");
            let path = folder.join(&name);
            // Build output and installed packages are not part of the repository.
            let is_foreign = name.starts_with('.')
                || ["target", "node_modules", "dist", "pkg", "corpus"].contains(&&*name);
            let kind = entry.file_type().expect("a file type");
            if kind.is_dir() && !is_foreign {
                folders.push(path);
            } else if kind.is_file()
                && extensions.iter().any(|extension| name.ends_with(&format!(".{extension}")))
            {
                found.push(path);
            }
        }
    }
    found
}
