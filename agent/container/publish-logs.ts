// A container's output as log records for a manager.
import type { LogOptions } from '../../proto/control.ts';
import type { LogRecord } from '../../proto/log-record.ts';
import type { Containers } from '../../runtime/container/contract.ts';

export async function* publishedLogs(
  containers: Pick<Containers, 'logs'>,
  id: string,
  options: LogOptions,
  abort: AbortSignal,
): AsyncGenerator<LogRecord, void, void> {
  const { stdout, stderr, follow, tailLines, sinceMs = 0, untilMs = 0 } = options;
  const request = { stdout, stderr, follow, tailLines: tailLines ?? ('all' as const), sinceMs, untilMs };
  for await (const { stream, time, bytes } of containers.logs(id, request, abort)) {
    yield { stream, timestamp: time, bytes };
  }
}
