// The live connection: comes back by itself and says when it is away.
import type { FeedMessage, ScaleRequest } from '../api/types/dashboard-feed.ts';

const RETRY_MS = 500;

export interface Connection {
  send(request: ScaleRequest): void;
}

export function connect(onMessage: (message: FeedMessage) => void, onOpen: (open: boolean) => void): Connection {
  let socket: WebSocket;
  const open = (): void => {
    socket = new WebSocket(`ws://${location.host}/feed`);
    socket.onopen = () => onOpen(true);
    // The daemon checked what it sends; the page only shows text.
    socket.onmessage = (event) => onMessage(JSON.parse(String(event.data)) as FeedMessage);
    socket.onclose = () => {
      onOpen(false);
      setTimeout(open, RETRY_MS);
    };
  };
  open();
  return {
    send: (request) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(request));
    },
  };
}
