//! What clients and servers say to each other on the client port, in the order of a connection's life:
//! a word or a handshake, requests with their headers, watches, lists of operations, answers.

mod connect;
mod four_letter;
mod mode;
mod multi;
mod reply;
mod request;
mod watch;

pub use connect::{ConnectRequest, ConnectResponse, password};
pub use four_letter::FourLetterWord;
pub use mode::CreateMode;
pub use multi::{MultiHeader, MultiOp, MultiReadOp, MultiReadRequest, MultiRequest};
pub use reply::{
    ClientInfo, Create2Response, GetAclResponse, GetChildren2Response, GetChildrenResponse, GetDataResponse,
};
pub use request::{
    AuthPacket, CheckVersionRequest, CreateRequest, CreateTtlRequest, DeleteRequest, GetEphemeralsRequest,
    PathRequest, PathWatchRequest, ReconfigRequest, ReplyHeader, RequestHeader, SaslRequest, SetAclRequest,
    SetDataRequest,
};
pub use watch::{AddWatchRequest, SetWatches, WatchTypeRequest, WatcherEvent};
