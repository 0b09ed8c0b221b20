//! Schemas of the domain's enums, by the names that are stored.

use strum::VariantArray;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

/// One of the names.
pub fn one_of<T: VariantArray + ToString>() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .enum_values(Some(T::VARIANTS.iter().map(ToString::to_string)))
        .build()
}

/// One of the names, or null.
pub fn maybe<T: VariantArray + ToString>() -> Object {
    let names = T::VARIANTS.iter().map(|name| Some(name.to_string()));
    ObjectBuilder::new()
        .schema_type(SchemaType::Array(vec![Type::String, Type::Null]))
        .enum_values(Some(names.chain([None])))
        .build()
}

/// A text that was given; an empty one counts as none.
pub fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
