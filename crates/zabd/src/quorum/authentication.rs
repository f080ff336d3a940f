//! What servers prove to each other before anything else is said: by SASL, on the election port behind the dialler's
//! introduction, on the quorum port at once.
//!
//! The dialler proves itself if it is configured to (`quorum.auth.learnerRequireSasl`). The listener looks at the first bytes:
//! they are a proof, or already what comes behind one. In the latter case, and when a proof is wrong, it goes on all the same
//! unless it insists (`quorum.auth.serverRequireSasl`), as Java's does while a rolling change goes through an ensemble.
//!
//! Nobody has said who it is yet, so what is read is bounded in length and time, and how many come at once ([`crate::lobby`]).

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use zabd_jute::quorum::{AuthError, AuthPacket, AuthStatus};
use zabd_jute::{Limits, Record as _};
use zabd_tls::in_words;

use super::tls;
use crate::sasl::{Answer, Dialling, MemberSasl, Said};

/// How long an exchange may take.
const EXCHANGE_MAX: Duration = Duration::from_secs(10);
/// Why a listener may not understand what a proof is.
const NOT_ENABLED: &str = "hint: on that server, quorum.auth.enableSasl must be true";
/// How it is told that not the exchange is to blame.
const TLS_FAILS: &str = "TLS fails: ";

/// What is told of an exchange that fails. With TLS 1.3 whoever dials has shown its certificate and goes on before it hears
/// what becomes of that: then not the exchange is to blame.
fn failed(problem: String) -> String {
    if problem.starts_with(TLS_FAILS) { problem } else { format!("authentication by SASL fails: {problem}") }
}

fn of_tls(error: &io::Error) -> Option<&zabd_tls::rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

fn is_of_tls(error: &io::Error) -> bool {
    of_tls(error).is_some()
}

/// Why nothing more can be read or written.
fn unread(error: &io::Error) -> String {
    match of_tls(error) {
        Some(error) => format!("{TLS_FAILS}{}", in_words(error)),
        None => error.to_string(),
    }
}

/// Proves to a listener on this host who this server is, if it is configured to; gives what came behind that.
pub(super) async fn prove<S>(
    socket: &mut S,
    sasl: Option<&MemberSasl>,
    host: &str,
) -> Result<BytesMut, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut bytes = BytesMut::new();
    let Some(sasl) = sasl else { return Ok(bytes) };
    let Some(mut exchange) = sasl.exchange() else { return Ok(bytes) };
    let first = match timeout(EXCHANGE_MAX, sasl.begin(&mut exchange, host)).await {
        Ok(begun) => begun.map_err(failed)?,
        Err(_) => return Err(failed(format!("no KDC answers this server within {EXCHANGE_MAX:?}"))),
    };
    match timeout(EXCHANGE_MAX, dialler(socket, sasl, exchange, &first, &mut bytes)).await {
        Ok(Ok(())) => Ok(bytes),
        Ok(Err(problem)) => Err(failed(problem)),
        Err(_) => Err(failed(format!("it does not go on with it within {EXCHANGE_MAX:?}; {NOT_ENABLED}"))),
    }
}

async fn dialler<S>(
    socket: &mut S,
    sasl: &MemberSasl,
    mut exchange: Dialling,
    first: &[u8],
    bytes: &mut BytesMut,
) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limits = Limits { field_bytes_max: sasl.token_bytes_max() };
    let mut is_concluded = false;
    send(socket, AuthStatus::InProgress, first).await?;
    loop {
        let Some((status, token)) = receive(socket, bytes, limits).await? else {
            return Err(format!("it answers something else; {NOT_ENABLED}"));
        };
        match (status, is_concluded) {
            (AuthStatus::Error, _) => {
                let proof = match exchange {
                    Dialling::Digest(_) => "the password",
                    Dialling::Kerberos(..) => "its ticket",
                };
                return Err(format!("it refuses user `{}` or {proof}", exchange.user()));
            }
            (AuthStatus::Success, true) => return Ok(()),
            (AuthStatus::InProgress, true) => {
                return Err("it goes on behind the end of the exchange".to_owned());
            }
            (_, false) => (),
        }
        match (status, sasl.respond(&mut exchange, token).await?) {
            (AuthStatus::InProgress, said @ (Said::Respond(_) | Said::Conclude(_))) => {
                is_concluded = matches!(said, Said::Conclude(_));
                let (Said::Respond(token) | Said::Conclude(token)) = said else {
                    unreachable!("it was matched")
                };
                send(socket, AuthStatus::InProgress, &token).await?;
            }
            (AuthStatus::Success, Said::Done) => return Ok(()),
            (AuthStatus::Success, Said::Respond(_) | Said::Conclude(_)) => {
                return Err("it ends the exchange without showing that it knows the password".to_owned());
            }
            (_, Said::Done) => return Err("it goes on behind the end of the exchange".to_owned()),
            (AuthStatus::Error, _) => unreachable!("an error has been returned"),
        }
    }
}

/// What a dialler's proof is worth.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Checked {
    /// It is right, or was not asked for.
    Good,
    /// It is wrong or none, and nobody insists.
    Overlooked(String),
}

/// Looks whether a dialler proves who it is. `bytes` is what has come already, and afterwards what came behind the proof.
pub(super) async fn check<S>(
    socket: &mut S,
    bytes: &mut BytesMut,
    sasl: Option<&MemberSasl>,
) -> Result<Checked, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(sasl) = sasl else { return Ok(Checked::Good) };
    let problem = match timeout(EXCHANGE_MAX, listener(socket, bytes, sasl)).await {
        Ok(Ok(true)) => {
            sasl.counts.authenticated.fetch_add(1, Relaxed);
            return Ok(Checked::Good);
        }
        Ok(Ok(false)) if tls::is_hello(bytes) => tls::SPEAKS_TLS.to_owned(),
        Ok(Ok(false)) => "it does not authenticate by SASL; hint: on that server, quorum.auth.learnerRequireSasl must be true".to_owned(),
        Ok(Err(problem)) => failed(problem),
        Err(_) => format!("authentication by SASL fails: it does not end within {EXCHANGE_MAX:?}"),
    };
    sasl.counts.refused.fetch_add(1, Relaxed);
    if sasl.is_required() { Err(problem) } else { Ok(Checked::Overlooked(problem)) }
}

/// True when a proof was right, false when there was none.
async fn listener<S>(socket: &mut S, bytes: &mut BytesMut, sasl: &MemberSasl) -> Result<bool, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut exchange, limits) = (sasl.listen(), Limits { field_bytes_max: sasl.token_bytes_max() });
    // Whoever only asks to be called back says nothing more and closes.
    if bytes.is_empty() && socket.read_buf(bytes).await.map_err(|error| unread(&error))? == 0 {
        return Ok(false);
    }
    let Some(mut packet) = receive(socket, bytes, limits).await? else { return Ok(false) };
    loop {
        match sasl.step(&mut exchange, packet.1).await {
            Ok(Answer::Challenge(token)) => send(socket, AuthStatus::InProgress, &token).await?,
            Ok(Answer::Proved { token, .. }) => {
                send(socket, AuthStatus::Success, &token.unwrap_or_default()).await?;
                return Ok(true);
            }
            Err(error) => {
                // The other side may be gone; the reason is told in any case.
                let _ = send(socket, AuthStatus::Error, b"").await;
                return Err(error.to_string());
            }
        }
        packet = receive(socket, bytes, limits).await?.ok_or("it breaks off its exchange")?;
    }
}

/// The next step of an exchange; nothing if the bytes are no such step.
async fn receive<S: AsyncRead + Unpin>(
    socket: &mut S,
    bytes: &mut BytesMut,
    limits: Limits,
) -> Result<Option<(AuthStatus, Vec<u8>)>, String> {
    loop {
        // No bytes at all may still become a proof.
        match AuthPacket::decode_stream(bytes, limits) {
            Ok(Some((packet, length))) => {
                // What is null in Java is nothing here.
                let (status, token) = (packet.status, packet.token.unwrap_or_default().to_vec());
                bytes.advance(length);
                return Ok(Some((status, token)));
            }
            Ok(None) => (),
            Err(AuthError::NoMagic) => return Ok(None),
            Err(error) => return Err(crate::launch::with_causes(&error)),
        }
        if socket.read_buf(bytes).await.map_err(|error| unread(&error))? == 0 {
            return Err("the connection ends in the midst of it".to_owned());
        }
    }
}

async fn send<S>(socket: &mut S, status: AuthStatus, token: &[u8]) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let packet = AuthPacket { status, token: Some(token) };
    let written = socket.write_all(&packet.to_bytes()).await;
    // TLS may hold some of it back.
    let Err(error) = written.and(socket.flush().await) else { return Ok(()) };
    // Whoever refuses a certificate says so before it closes, and what it said can still be read.
    let why = socket.read_buf(&mut BytesMut::with_capacity(1)).await.err();
    Err(unread(&why.filter(is_of_tls).unwrap_or(error)))
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::{DuplexStream, ReadBuf, duplex};

    use zabd_sasl::server::RESPONSE_BYTES_MAX;

    use super::*;

    const TOKEN: Limits = Limits { field_bytes_max: RESPONSE_BYTES_MAX };

    fn sasl(password: &str, is_required: bool) -> MemberSasl {
        MemberSasl::fixed("zkq", password, "s3cret", is_required)
    }

    fn counts(sasl: &MemberSasl) -> (u64, u64) {
        (sasl.counts.authenticated.load(Relaxed), sasl.counts.refused.load(Relaxed))
    }

    /// What either side makes of the other; the dialler says `b"next"` behind its proof, and the listener `b"frame"`.
    async fn meet(
        dialler: Option<&MemberSasl>,
        listener: Option<&MemberSasl>,
    ) -> (Result<(), String>, Result<Checked, String>) {
        let (mut near, mut far) = duplex(64);
        let dial = async {
            let rest = prove(&mut near, dialler, "localhost").await?;
            assert!(b"frame".starts_with(&rest));
            near.write_all(b"next").await.unwrap();
            Ok(())
        };
        let listen = async {
            let mut bytes = BytesMut::new();
            let checked = check(&mut far, &mut bytes, listener).await?;
            far.write_all(b"frame").await.unwrap();
            while bytes.len() < 4 {
                assert_ne!(far.read_buf(&mut bytes).await.unwrap(), 0, "{bytes:?}");
            }
            assert_eq!(&bytes[..], b"next");
            Ok(checked)
        };
        tokio::join!(dial, listen)
    }

    #[tokio::test]
    async fn who_has_the_password_goes_on_with_what_comes_behind() {
        let (dialler, listener) = (sasl("s3cret", true), sasl("s3cret", true));
        assert_eq!(meet(Some(&dialler), Some(&listener)).await, (Ok(()), Ok(Checked::Good)));
        assert_eq!((counts(&dialler), counts(&listener)), ((0, 0), (1, 0)));
        assert_eq!(meet(None, None).await, (Ok(()), Ok(Checked::Good)));
    }

    #[tokio::test]
    async fn who_has_another_password_is_told_and_closed() {
        let (dialler, listener) = (sasl("guess", true), sasl("s3cret", true));
        let (proved, checked) = meet(Some(&dialler), Some(&listener)).await;
        assert_eq!(
            proved.unwrap_err(),
            "authentication by SASL fails: it refuses user `zkq` or the password"
        );
        assert_eq!(checked.unwrap_err(), "authentication by SASL fails: the password of user `zkq` is wrong");
        assert_eq!(counts(&listener), (0, 1));
    }

    /// While a rolling change goes through an ensemble nobody insists: who proves nothing goes on, and nothing of what it says is lost.
    #[tokio::test]
    async fn nobody_is_closed_where_nobody_insists() {
        let listener = sasl("s3cret", false);
        let (proved, checked) = meet(None, Some(&listener)).await;
        let Ok(Checked::Overlooked(problem)) = checked else { panic!("{checked:?}") };
        assert!(problem.starts_with("it does not authenticate by SASL; hint"), "{problem}");
        assert_eq!((proved, counts(&listener)), (Ok(()), (0, 1)));
        let (proved, checked) = meet(None, Some(&sasl("s3cret", true))).await;
        assert_eq!(proved, Ok(()));
        assert!(checked.unwrap_err().starts_with("it does not authenticate by SASL"));
    }

    async fn judged(says: impl AsyncFnOnce(DuplexStream)) -> String {
        let (near, mut far) = duplex(1 << 20);
        let listener = sasl("s3cret", true);
        let listen = async {
            let mut bytes = BytesMut::new();
            let checked = check(&mut far, &mut bytes, Some(&listener)).await;
            assert!(bytes.capacity() <= 16 << 10, "{} bytes for a stranger", bytes.capacity());
            drop(far);
            checked
        };
        let checked = tokio::join!(says(near), listen).1;
        assert_eq!(counts(&listener), (0, 1));
        checked.unwrap_err()
    }

    #[tokio::test(start_paused = true)]
    async fn exchanges_that_break_off_or_never_end() {
        let begun = AuthPacket { status: AuthStatus::InProgress, token: Some(b"") }.to_bytes();
        for length in 0..begun.len() {
            let cut = judged(async |mut near| near.write_all(&begun[..length]).await.unwrap()).await;
            if length == 0 {
                assert!(cut.starts_with("it does not authenticate by SASL; hint"), "{cut}");
            } else {
                assert_eq!(cut, "authentication by SASL fails: the connection ends in the midst of it");
            }
            let silent = judged(async |mut near| {
                near.write_all(&begun[..length]).await.unwrap();
                assert_eq!(near.read_u8().await.ok(), None, "it is closed, and nothing was said");
            });
            assert_eq!(silent.await, "authentication by SASL fails: it does not end within 10s");
        }
        let silent = judged(async |mut near| {
            near.write_all(&begun).await.unwrap();
            let mut said = Vec::new();
            near.read_to_end(&mut said).await.unwrap();
            assert!(said.windows(6).any(|each| each == b"realm="), "a challenge, and nothing behind it");
        });
        assert_eq!(silent.await, "authentication by SASL fails: it does not end within 10s");
    }

    #[tokio::test]
    async fn no_token_is_longer_than_one_can_be() {
        let long =
            AuthPacket { status: AuthStatus::InProgress, token: Some(&vec![b' '; 1 << 19]) }.to_bytes();
        let problem = judged(async |mut near| near.write_all(&long).await.unwrap()).await;
        assert!(problem.contains("does not decode"), "{problem}");
        // As long as may be, and cut short.
        let long = AuthPacket { status: AuthStatus::InProgress, token: Some(&[b' '; RESPONSE_BYTES_MAX]) }
            .to_bytes();
        let problem = judged(async |mut near| near.write_all(&long[..long.len() - 1]).await.unwrap()).await;
        assert!(problem.ends_with("the connection ends in the midst of it"), "{problem}");
    }

    /// What was once the right proof is none for another challenge, and none behind the end.
    #[tokio::test]
    async fn a_recorded_exchange_is_of_no_use() {
        let (mut near, mut far) = duplex(4096);
        let (dialler, listener) = (sasl("s3cret", true), sasl("s3cret", true));
        let mut recorded = Vec::new();
        let record = async {
            let mut exchange = dialler.exchange().unwrap();
            send(&mut near, AuthStatus::InProgress, b"").await.unwrap();
            let (_, challenge) = receive(&mut near, &mut BytesMut::new(), TOKEN).await.unwrap().unwrap();
            let Said::Respond(token) = dialler.respond(&mut exchange, challenge).await.unwrap() else {
                panic!("a challenge is answered")
            };
            send(&mut near, AuthStatus::InProgress, &token).await.unwrap();
            recorded = token;
        };
        let mut bytes = BytesMut::new();
        let checked = tokio::join!(record, check(&mut far, &mut bytes, Some(&listener))).1;
        assert_eq!(checked, Ok(Checked::Good));
        let replayed = judged(async |mut near| {
            send(&mut near, AuthStatus::InProgress, b"").await.unwrap();
            send(&mut near, AuthStatus::InProgress, &recorded).await.unwrap();
            let _ = near.read_u8().await;
        });
        let problem = replayed.await;
        assert_eq!(
            problem,
            "authentication by SASL fails: the token answers another challenge, so it may be a replay"
        );
    }

    /// A listener that ends the exchange without its own proof may be anybody.
    #[tokio::test(start_paused = true)]
    async fn a_listener_has_to_prove_that_it_knows_the_password() {
        let dialler = sasl("s3cret", true);
        let told = async |answers: &[(AuthStatus, &[u8])]| {
            let (mut near, mut far) = duplex(4096);
            for (status, token) in answers {
                send(&mut far, *status, token).await.unwrap();
            }
            let proved = prove(&mut near, Some(&dialler), "localhost").await;
            proved.unwrap_err().replace("authentication by SASL fails: ", "")
        };
        let challenge = b"realm=\"zk-quorum-sasl-md5\",nonce=\"AA\",charset=utf-8,algorithm=md5-sess";
        let (ongoing, success) = (AuthStatus::InProgress, AuthStatus::Success);
        assert_eq!(
            told(&[(success, challenge)]).await,
            "it ends the exchange without showing that it knows the password"
        );
        assert_eq!(
            told(&[(ongoing, challenge), (success, b"rspauth=00")]).await,
            "the server does not show that it knows the password"
        );
        assert!(told(&[(ongoing, challenge)]).await.starts_with("it does not go on with it within 10s"));
        assert!(told(&[(success, b"")]).await.contains("`algorithm` is missing"));
        let (mut near, mut far) = duplex(4096);
        far.write_all(b"\0\0\0\x0bsomething else").await.unwrap();
        let problem = prove(&mut near, Some(&dialler), "localhost").await.unwrap_err();
        assert!(problem.contains("it answers something else; hint:"), "{problem}");
    }

    /// A socket that takes nothing any more, and what can be read from it still.
    struct Closed(Option<io::Error>);

    impl AsyncRead for Closed {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Ready(self.0.take().map_or(Ok(()), Err))
        }
    }

    impl AsyncWrite for Closed {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// With TLS 1.3 a dialler may send its proof to one that has refused its certificate meanwhile, and closed the connection.
    #[tokio::test]
    async fn a_refused_certificate_is_told_though_the_proof_could_not_be_sent() {
        use zabd_tls::rustls::{AlertDescription, Error};
        let alert = io::Error::other(Error::AlertReceived(AlertDescription::CertificateExpired));
        let dialler = sasl("right", true);
        let problem = prove(&mut Closed(Some(alert)), Some(&dialler), "localhost").await.unwrap_err();
        assert!(
            problem.starts_with("TLS fails: the other side does not believe the certificate"),
            "{problem}"
        );
        for reset in [None, Some(io::ErrorKind::ConnectionReset.into())] {
            let problem = prove(&mut Closed(reset), Some(&dialler), "localhost").await.unwrap_err();
            assert_eq!(problem, "authentication by SASL fails: broken pipe");
        }
    }
}
