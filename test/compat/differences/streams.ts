// Attach, logs and exec.
import { answers, type Listed } from './listed.ts';

export const STREAMS: readonly Listed[] = [
  {
    request: /: (POST \/containers\/(talks|held)\/attach\?|GET \/containers\/talks\/attach\/ws$)/,
    lines:
      /^([-+] type application\/(vnd\.docker\.raw-stream|json)|- raw "(Invalid detach keys|container held is paused|not websocket)|\+ message (invalid detach keys|container <id> is paused|this needs a websocket))/,
    reason: 'what can be refused is refused before the stream begins, in JSON, with the same status',
  },
  {
    request: /: POST \/containers\/talks\/attach\?stream=1&stdout=1$/,
    lines: /^(- no body|\+ frame 1 "")$/,
    reason: 'a client that has ended its input gets an empty frame now and then, so that it is noticed when it goes',
  },
  {
    request: /: POST \/containers\/term\/attach\?/,
    lines: /^(- no body|\+ raw "typed)/,
    reason: 'this engine drops the output of a terminal when its client ends the input',
  },
  {
    request: /: GET \/containers\/\w+\/logs\?/,
    lines: /^\+ type application\/vnd\.docker\.raw-stream$/,
    reason: 'newer engines give logs a type',
  },
  {
    request: /: POST \/exec\/\{exec\}\/start \{\}$/,
    lines:
      /^(- status 101|- type application\/vnd\.docker\.raw-stream|- (connection: upgrade|upgrade: tcp)|- frame 1 "Error: Exec command <id> has already run|\+ status 409|\+ type application\/json|\+ message error: exec command <id> has already run)/,
    reason: 'an exec that has run is a conflict before the stream begins, 409 as in the published contract',
  },
  {
    request: /: POST \/exec\/\{exec\}\/start \{"Detach":true\}$/,
    lines: /^[-+] message error: exec command <id> (is already running|has already run)$/,
    reason: 'what has been started once can not be started again, whether it still runs or not',
  },
  {
    request: /: GET \/exec\/\{exec\}\/json$/,
    lines: /^[-+] \.ExitCode = 12[67]$/,
    because: 'newer engines',
    reason: '127 for a program that is missing, as newer engines and the client say',
  },
  {
    request: /: POST \/exec\/\{exec\}\/start \{\}$/,
    lines: /^[-+] frame 1 "OCI runtime exec failed: .*exec: \\"\/etc\\": (permission denied|is a directory): unknown/,
    reason: 'newer engines call a folder a folder',
  },
  {
    request: /: POST \/exec\/\{exec\}\/start \{\}$/,
    lines:
      /^(- status 404|\+ status 409|- message no such exec instance: <id>|\+ message container <id> is not running)$/,
    because: 'newer engines',
    reason:
      'this engine forgets an exec with the end of its container, newer ones keep it for a while: then the container is stopped, 409 as in the published contract',
  },
  {
    request: /exec \d+: GET \/exec\/\{exec\}\/json$/,
    lines:
      /^(- status 404|\+ status 200|- message no such exec instance: <id>|\+ \. object|\+ \.(ID|ContainerID|DetachKeys) string|\+ \.(Running|OpenStdin|OpenStdout|OpenStderr|CanRemove) boolean|\+ \.(ExitCode (null|= \d+)|Pid number)|\+ \.ProcessConfig(\.\w+|\.arguments\[\])? \w+)$/,
    because: 'newer engines',
    reason: 'this engine forgets an exec with the end of its container, newer ones keep it for a while',
  },
  {
    request: /: POST \/exec\/\{exec\}\/resize\?h=1&w=1$/,
    lines: answers(500, 404),
    because: 'newer engines',
    reason: 'an exec that has just ended has no terminal any more, 404 as in the published contract',
    sometimes: true,
  },
];
