//! Comments of the proto files.

use prost_reflect::FileDescriptor;

/// The comment above what lies at a path of descriptor numbers; empty when there is none.
pub fn of(file: &FileDescriptor, path: &[i32]) -> String {
    let source = file.file_descriptor_proto().source_code_info.iter();
    let location = source.flat_map(|info| &info.location).find(|location| location.path == path);
    let comment = location
        .and_then(|location| location.leading_comments.as_deref())
        .unwrap_or_default();
    comment.split_whitespace().collect::<Vec<_>>().join(" ")
}
