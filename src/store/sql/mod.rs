/// x
pub struct SqliteStore;
/// y
pub struct SqliteOptions;
