//! Schemas that the derive macros cannot express.

use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{Object, ObjectBuilder};

/// Returns the schema of `null`.
pub(super) fn null() -> Object {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::Null)).build()
}
