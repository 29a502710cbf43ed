// Is a node there? Asked of its kernel: a connection to a port that nobody listens at is refused at once, whatever the daemon
// there is doing or whether it runs at all. Nothing is opened for it, and nothing more than one packet each way is sent.
import { connect } from 'node:net';
import { errnoOf } from '../base/errors.ts';

/** True: it answered within the time. Never rejects. */
export type AskNode = (address: string, port: number, withinMs: number) => Promise<boolean>;

const ANSWERS = ['ECONNREFUSED', 'ECONNRESET'];

export const askNode: AskNode = (host, port, withinMs) =>
  new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (answered: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answered);
    };
    // Timers come before sockets in a turn of the event loop: after a long turn the answer may be there and not yet read.
    const timer = setTimeout(() => setImmediate(() => end(false)), withinMs);
    socket.once('connect', () => end(true));
    socket.on('error', (error) => end(ANSWERS.includes(errnoOf(error) ?? '')));
  });
