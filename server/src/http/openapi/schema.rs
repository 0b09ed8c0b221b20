//! JSON Schemas of messages and enums, as proto3 JSON writes them.

use prost_reflect::{DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::comments;

/// The schemas that were needed so far, by full name.
#[derive(Debug, Default)]
pub struct Schemas {
    /// See the type.
    pub all: Map<String, Value>,
}

impl Schemas {
    /// Adds a message by its name.
    pub fn message(&mut self, pool: &DescriptorPool, name: &str) {
        if let Some(message) = pool.get_message_by_name(name) {
            self.reference(&message);
        }
    }

    /// Adds a message, with all that it is made of, and returns how to refer to it.
    pub fn reference(&mut self, message: &MessageDescriptor) -> String {
        let name = message.full_name().to_owned();
        if !self.all.contains_key(&name) {
            // Before its fields, one of which may be of its own kind.
            self.all.insert(name.clone(), Value::Null);
            let schema = well_known(&name).unwrap_or_else(|| self.object(message));
            self.all.insert(name.clone(), schema);
        }
        format!("#/components/schemas/{name}")
    }

    fn object(&mut self, message: &MessageDescriptor) -> Value {
        let properties: Map<String, Value> = message
            .fields()
            .map(|field| {
                let mut schema = self.field(&field);
                let comment = comments::of(&field.parent_file(), field.path());
                if !comment.is_empty() {
                    schema["description"] = comment.into();
                }
                (field.json_name().to_owned(), schema)
            })
            .collect();
        json!({
            "type": "object",
            "description": comments::of(&message.parent_file(), message.path()),
            "properties": properties,
            "additionalProperties": false,
        })
    }

    fn field(&mut self, field: &FieldDescriptor) -> Value {
        match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let value = self.kind(&entry.map_entry_value_field().kind());
                json!({ "type": "object", "additionalProperties": value })
            }
            kind if field.is_list() => json!({ "type": "array", "items": self.kind(&kind) }),
            kind => self.kind(&kind),
        }
    }

    fn kind(&mut self, kind: &Kind) -> Value {
        match kind {
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::String => json!({ "type": "string" }),
            Kind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Kind::Float | Kind::Double => json!({ "type": "number" }),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({ "type": "integer", "format": "int32" }),
            Kind::Uint32 | Kind::Fixed32 => json!({ "type": "integer", "format": "uint32", "minimum": 0 }),
            // Text, since JavaScript's numbers have 53 bits.
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => json!({ "type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$" }),
            Kind::Uint64 | Kind::Fixed64 => json!({ "type": "string", "format": "uint64", "pattern": "^[0-9]{1,19}$" }),
            Kind::Enum(names) => json!({ "$ref": self.names(names) }),
            Kind::Message(message) => json!({ "$ref": self.reference(message) }),
        }
    }

    fn names(&mut self, names: &EnumDescriptor) -> String {
        let name = names.full_name().to_owned();
        self.all.entry(name.clone()).or_insert_with(|| {
            json!({
                "type": "string",
                "description": comments::of(&names.parent_file(), names.path()),
                "enum": names.values().map(|value| value.name().to_owned()).collect::<Vec<_>>(),
            })
        });
        format!("#/components/schemas/{name}")
    }
}

/// Messages that proto3 JSON writes in ways of their own.
fn well_known(name: &str) -> Option<Value> {
    Some(match name {
        "google.protobuf.Timestamp" => json!({ "type": "string", "format": "date-time" }),
        "google.protobuf.Duration" => json!({ "type": "string", "pattern": "^-?[0-9]{1,11}(\\.[0-9]{1,9})?s$", "example": "90s" }),
        "google.protobuf.Any" => json!({
            "type": "object",
            "properties": { "@type": { "type": "string" } },
            "required": ["@type"],
            "additionalProperties": true,
        }),
        _ => return None,
    })
}
