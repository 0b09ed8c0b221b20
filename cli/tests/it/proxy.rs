//! A line between client and server that a test can cut.

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

/// Forwards connections to a port. The first connection is severed when `cut` fires; later ones are not.
pub async fn start(port: u16, cut: CancellationToken) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let mut cut = Some(cut);
        while let Ok((mut client, _)) = listener.accept().await {
            let cut = cut.take().unwrap_or_default();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", port)).await.expect("the server listens");
                // Either end may close first; both are the end of this line.
                let _ = cut.run_until_cancelled(copy_bidirectional(&mut client, &mut server)).await;
            });
        }
    });
    url
}
