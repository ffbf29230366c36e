//! `[classifier]`: the weights behind `difficulty_over` and `doubt_over`.
//!
//! Weights that are damaged or from a later build are a warning, not an error: the other rules of a route must go on
//! working, and the rules that need the weights say that they have none.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use router::Learned;

use super::doc::{Doc, Section};
use super::locate::beside;
use super::source::Secrets;

/// The weights in effect, read when the first rule asks for them.
pub(super) enum Classifier {
    /// Those of this build.
    Builtin,
    /// The user's; `None` when they were refused.
    Own(Option<Arc<Learned>>),
}

impl Classifier {
    pub(super) fn read(root: &Section<'_>, file: &Path, secrets: &mut Secrets<'_>) -> Self {
        let Some(section) = root.section("classifier") else { return Self::Builtin };
        let weights = section.string("weights");
        if section.get("weights").is_none() {
            let hint = "weights = \"FILE\", made by `tollgate route train`".to_owned();
            section.doc.error(section.span.clone(), "`[classifier]` needs `weights`", Some(hint));
        }
        section.finish();
        let Some((path, span)) = weights else { return Self::Own(None) };
        let path = beside(file, path);
        secrets.files.push(path.clone());
        let bytes = (secrets.sources.bytes)(&path);
        Self::Own(own(root.doc, &path, span, bytes))
    }

    /// Those of this build.
    pub(super) const fn is_builtin(&self) -> bool {
        matches!(self, Self::Builtin)
    }

    /// The weights; says in the document at `span` when there are none.
    pub(super) fn weights(&self, doc: &Doc<'_>, span: Range<usize>) -> Option<Arc<Learned>> {
        match self {
            Self::Own(own) => own.clone(),
            Self::Builtin => match Learned::builtin() {
                Ok(learned) => Some(learned),
                Err(why) => {
                    doc.warn(
                        span,
                        format!("this rule never fires: the built-in weights are refused: {why}"),
                        None,
                    );
                    None
                }
            },
        }
    }
}

fn own(doc: &Doc<'_>, path: &Path, span: Range<usize>, bytes: io::Result<Vec<u8>>) -> Option<Arc<Learned>> {
    let shown = path.display();
    let read = bytes.map_err(|e| format!("cannot be read: {e}"));
    match read.and_then(|bytes| Learned::read(&bytes).map_err(|why| why.to_string())) {
        Ok(learned) => Some(Arc::new(learned)),
        Err(why) => {
            let message = format!(
                "`weights`: {shown}: {why}; `difficulty_over` and `doubt_over` never fire, other rules go on"
            );
            doc.warn(span, message, None);
            None
        }
    }
}
