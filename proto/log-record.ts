// Log lines on a byte stream: records of (stream, timestamp, bytes), cut anywhere by the frames that carry them.
import { fail } from '../base/errors.ts';
import { asBoolean, asNumber, asObject, optional, parseJson } from '../base/parse.ts';
import type { LogOptions } from './control.ts';

export interface LogRecord {
  readonly stream: 'stdout' | 'stderr';
  readonly timestamp: string;
  readonly bytes: Uint8Array;
}

const HEADER = 6; // stream, length of the timestamp, length of the bytes (u32)
const RECORD_BYTES_MAX = 4 * 1024 * 1024;

export function encodeLogRecord({ stream, timestamp, bytes }: LogRecord): Buffer {
  const time = Buffer.from(timestamp);
  const header = Buffer.alloc(HEADER);
  header.writeUInt8(stream === 'stdout' ? 1 : 2, 0);
  header.writeUInt8(time.length, 1);
  header.writeUInt32BE(bytes.length, 2);
  return Buffer.concat([header, time, bytes]);
}

/** Puts records together again from chunks of any size. */
export class LogRecordReader {
  #rest: Buffer = Buffer.alloc(0);

  *read(chunk: Uint8Array): Generator<LogRecord, void, void> {
    this.#rest = this.#rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= HEADER) {
      const timeLength = this.#rest.readUInt8(1);
      const bytesLength = this.#rest.readUInt32BE(2);
      if (bytesLength > RECORD_BYTES_MAX) fail('invalid', 'a log record is too long');
      const end = HEADER + timeLength + bytesLength;
      if (this.#rest.length < end) return;
      yield {
        stream: this.#rest.readUInt8(0) === 1 ? 'stdout' : 'stderr',
        timestamp: this.#rest.toString('utf8', HEADER, HEADER + timeLength),
        bytes: this.#rest.subarray(HEADER + timeLength, end),
      };
      this.#rest = this.#rest.subarray(end);
    }
  }
}

/** What an agent is asked for. */
export function parseLogOptions(bytes: Uint8Array): LogOptions {
  const json = asObject(parseJson(Buffer.from(bytes).toString('utf8'), 'log request'), 'log request');
  const number = (name: string): number | undefined => optional(json[name], name, asNumber);
  const [tailLines, sinceMs, untilMs] = [number('tailLines'), number('sinceMs'), number('untilMs')];
  return {
    stdout: asBoolean(json['stdout'], 'stdout'),
    stderr: asBoolean(json['stderr'], 'stderr'),
    follow: asBoolean(json['follow'], 'follow'),
    ...(tailLines === undefined ? {} : { tailLines }),
    ...(sinceMs === undefined ? {} : { sinceMs }),
    ...(untilMs === undefined ? {} : { untilMs }),
  };
}
