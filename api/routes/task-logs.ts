// Logs of services and tasks: lines of many containers in one stream, each saying where it comes from.
import type { ClusterControl, LogSelector, TaskLogLine } from '../../proto/control.ts';
import { type Reply, stream } from '../reply.ts';
import type { ApiRequest } from '../request.ts';
import { frame } from '../stdio-frames.ts';
import { logRequest, stdioType } from './container-streams.ts';

export function taskLogs(
  request: ApiRequest,
  control: ClusterControl,
  selector: LogSelector,
  { terminal, nowMs }: { terminal: boolean; nowMs: number },
): Reply {
  const { stdout, stderr, follow, tailLines, sinceMs, untilMs } = logRequest(request, nowMs);
  const options = {
    stdout,
    stderr,
    follow,
    ...(tailLines === 'all' ? {} : { tailLines }),
    ...(sinceMs === 0 ? {} : { sinceMs }),
    ...(untilMs === 0 ? {} : { untilMs }),
  };
  const lines = control.logs(selector, options, request.abort);
  const timestamps = request.query.flag('timestamps');
  const details = request.query.flag('details');
  return stream(
    stdioType({ upgraded: true, version: request.version }, terminal),
    chunksOf(lines, { timestamps, details, terminal }),
  );
}

async function* chunksOf(
  lines: AsyncIterable<TaskLogLine>,
  options: { timestamps: boolean; details: boolean; terminal: boolean },
): AsyncGenerator<Buffer> {
  for await (const line of lines) {
    const time = options.timestamps ? `${line.timestamp} ` : '';
    if (line.taskId === '') {
      // Not a task's words but the cluster's: which node could not answer.
      yield frame('systemError', line.bytes);
    } else if (options.terminal) {
      yield Buffer.concat([Buffer.from(time), line.bytes]);
    } else {
      const origin = options.details ? `${originOf(line)} ` : '';
      yield frame(line.stream, Buffer.concat([Buffer.from(time + origin), line.bytes]));
    }
  }
}

/** The stock client asks for these, and fails on a line without them. */
const originOf = ({ nodeId, serviceId, taskId }: TaskLogLine): string =>
  `com.docker.swarm.node.id=${nodeId},com.docker.swarm.service.id=${serviceId},com.docker.swarm.task.id=${taskId}`;
