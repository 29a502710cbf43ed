// In front of a TLS server: a client that speaks plain text is told so in a sentence, where the TLS library would cut it
// off without a word.
import { createServer, type Server, type Socket } from 'node:net';
import type { Server as TlsServer } from 'node:https';

const FIRST_BYTE_MS = 60_000;
const TLS_HANDSHAKE = 0x16; // the type of a TLS record that holds a ClientHello

/** Listens; connections that begin a handshake are handed to `tls`, which does not listen itself. */
export function frontOf(tls: TlsServer): Server {
  return createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.setTimeout(FIRST_BYTE_MS, () => socket.destroy());
    socket.once('readable', () => {
      const first = socket.read(1) as Buffer | null;
      if (first === null) {
        socket.destroy();
        return;
      }
      socket.setTimeout(0);
      socket.unshift(first);
      if (first[0] === TLS_HANDSHAKE) tls.emit('connection', socket);
      else refusePlainText(socket);
    });
  });
}

function refusePlainText(socket: Socket): void {
  const body = `${JSON.stringify({ message: 'Client sent an HTTP request to an HTTPS server.' })}\n`;
  const headers = `Content-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close`;
  socket.end(`HTTP/1.1 400 Bad Request\r\n${headers}\r\n\r\n${body}`);
  socket.setTimeout(1_000, () => socket.destroy());
  socket.resume();
}
