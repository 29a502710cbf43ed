// Fewer messages with the same meaning. What leaves for one member in one turn of the event loop is often a row of appends
// of one entry each, with news of the commit index in between, or a row of acknowledgements of which the last says it all.
import type { Append, AppendResponse, Message } from './core/types.ts';

const APPEND_BYTES_MAX = 256 * 1024;

/** Messages for one member, in the order in which they were to leave. */
export function merged<M extends Message>(messages: readonly M[]): M[] {
  const result: M[] = [];
  let bytes = 0;
  for (const message of messages) {
    const previous = result.at(-1);
    const both = previous && mergeTwo(previous, message, bytes);
    if (both) result.splice(-1, 1, both as M);
    else result.push(message);
    const last = both ?? message;
    bytes = last.type === 'append' ? bytesOf(message) + (both ? bytes : 0) : 0;
  }
  return result;
}

function mergeTwo(previous: Message, next: Message, bytes: number): Message | undefined {
  if (previous.term !== next.term) return undefined;
  if (previous.type === 'append' && next.type === 'append') return mergeAppends(previous, next, bytes);
  if (previous.type === 'append-response' && next.type === 'append-response') return mergeAnswers(previous, next);
  return undefined;
}

/** Only if the second goes on where the first ends: then the first must fit for the second to fit. */
function mergeAppends(previous: Append, next: Append, bytes: number): Append | undefined {
  const last = previous.entries.at(-1) ?? { index: previous.prevIndex, term: previous.prevTerm };
  if (next.prevIndex !== last.index || next.prevTerm !== last.term) return undefined;
  if (bytes + bytesOf(next) > APPEND_BYTES_MAX) return undefined;
  const entries = next.entries.length === 0 ? previous.entries : [...previous.entries, ...next.entries];
  return { ...previous, entries, commit: Math.max(previous.commit, next.commit) };
}

/** Who vouches for more vouches for less. A refusal stands for itself: it answers one certain append. */
function mergeAnswers(previous: AppendResponse, next: AppendResponse): AppendResponse | undefined {
  if (previous.rejected || next.rejected) return undefined;
  return next.index >= previous.index ? next : previous;
}

function bytesOf(message: Message): number {
  return message.type === 'append' ? message.entries.reduce((sum, { bytes }) => sum + bytes.length, 0) : 0;
}
