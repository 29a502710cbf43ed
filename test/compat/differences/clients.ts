// What people and libraries see: the stock client's lines, dockerode, docker-py, compose.
import type { Listed } from './listed.ts';

export const CLIENTS: readonly Listed[] = [
  {
    part: 'typed',
    request: /^typed: \d+ docker run --rm bb (nosuchprogram|\/etc|\/etc\/passwd)$/,
    lines: /^[-+] docker: Error response from daemon: failed to create .*OCI runtime create failed: .*exec: "/,
    reason: 'newer engines tell the failure of a task in this frame; the exit code is the same',
  },
  {
    part: 'typed',
    request: /^typed: \d+ docker run --rm --network nowhere bb true$/,
    lines: /^[-+] docker: Error response from daemon: .*network nowhere not found$/,
    reason: 'in a swarm Docker asks the manager, and passes on how it asked',
  },
  {
    part: 'typed',
    request: /^typed: \d+ docker exec life nosuchprogram$/,
    lines: /^[-+] code 12[67]$/,
    because: 'newer engines',
    reason: 'they and the client end with 127 for a program that is missing',
  },
  {
    part: 'typed',
    request: /^typed: \d+ docker exec life true$/,
    lines: /^[-+] Error response from daemon: container (life|<id>) is paused, unpause the container before exec$/,
    reason: 'newer engines name the container by its id',
  },
  {
    part: 'typed',
    request: /^typed: \d+ docker rm other$/,
    lines: /^[-+] Error response from daemon: .*(running container|container is running)/,
    reason: 'the words of newer engines',
  },
  {
    part: 'typed',
    request: /--log-driver nope|--runtime nope|--cpuset-cpus a-b/,
    lines: /^[-+] docker: Error response from daemon: .*(nope|a-b)/,
    reason: 'the words of newer engines',
  },
  {
    part: 'typed',
    request: /^typed: \d+ docker diff/,
    lines: /^[-+] [ACD] \//,
    sometimes: true,
    reason: 'in the order of names; Docker’s order is that of its walk',
  },
  {
    part: 'typed',
    request: /relative:path:x/,
    lines: /^[-+] docker: Error response from daemon: invalid (mode|volume specification)/,
    reason: 'two things are wrong with it; Docker names the other first',
  },
  {
    part: 'typed',
    request: /^typed: \d+ docker image inspect second:1$/,
    lines: /^[-+] Error response from daemon: no such image: second:1/,
    reason: 'newer engines say it once',
  },
  {
    part: 'dockerode',
    request: /: wait/,
    lines: /^[-+] \{("Error":null,)?"StatusCode":\d+\}$/,
    reason: 'the Error of a wait is left out unless there is one',
  },
  {
    part: 'dockerode',
    request: /: build$/,
    lines: /^(- "builds"|\+ status 501|\+ message .*building images is not implemented yet)/,
    because: 'not a part',
    reason: 'building images is not there yet, and says so',
  },
  {
    part: 'testcontainers',
    request: /: a program that is not there$/,
    lines:
      /^[-+] fails: .*failed to create .*OCI runtime create failed: .*exec: "nosuchprogram": executable file not found/,
    reason: 'newer engines tell the failure of a task in this frame; the status is the same',
  },
  {
    part: 'testcontainers',
    request: /: exec of nothing$/,
    lines: /"exitCode":12[67]\}$/,
    because: 'newer engines',
    reason: 'they end with 127 for a program that is missing',
  },
  {
    part: 'testcontainers',
    request: /: a network that is not there$/,
    lines: /network nowhere not found/,
    reason: 'in a swarm Docker asks the manager, and passes on how it asked',
  },
  {
    part: 'testcontainers',
    request: /: build$/,
    lines: /^(- "built"|\+ fails: .*HTTP code 501.*building images is not implemented yet)/,
    because: 'not a part',
    reason: 'building images is not there yet, and says so',
  },
  {
    part: 'docker-py',
    request:
      /run of a program that is not there|remove while it runs|exec after its end|list by what nobody|get no image|remove while in use/,
    lines: /^[-+] fails (APIError 4\d\d|ImageNotFound 404) /,
    reason: 'the words of newer engines; status and class are the same',
  },
  {
    part: 'docker-py',
    request: /: update$/,
    lines: /^[-+] \{'Warnings': (None|\[\])\}$/,
    reason: 'an empty list, never null, as in the published contract',
  },
  {
    part: 'docker-py',
    request: /disconnect again/,
    lines: /^[-+] fails APIError (500|403) container <id> is not connected to network pynet$/,
    because: 'newer engines',
    reason: 'what is not allowed answers 403, as in the published contract',
  },
  {
    part: 'compose',
    request: /docker-compose ps/,
    lines: /:::|->|^[-+] -+$|State +Ports/,
    reason: 'an IPv4 network is published on IPv4 addresses alone',
  },
  {
    part: 'compose',
    request: /RestartPolicy/,
    lines: /^[-+] healthy( no)?$/,
    reason: 'newer engines say which policy the default is',
  },
];
