// Containers: lists, one of them, starts that fail, changes of state, use of resources.
import { answers, type Listed, WORDS } from './listed.ts';

export const CONTAINERS: readonly Listed[] = [
  {
    request: /: POST \/containers\/fails4\/start$/,
    lines: answers(500, 404),
    reason: 'in a swarm Docker asks the manager, and passes on how it asked; without one it answers 404',
  },
  {
    request: /: POST \/containers\/guest\/start$/,
    lines: /^[-+] message (cannot join PID namespace: )?container <id> is not running$/,
    reason: 'it says what for',
  },
  {
    request: /a network that comes after its container \d: GET \/containers\/(early\/json|json\?all=1)$/,
    lines: /\.NetworkSettings\.Networks\.later\.Aliases(\[\])? (null|array|string)$/,
    reason: 'the short id is among the aliases before the first start too',
  },
  {
    request: /: GET \/containers\/(json\?all=1|listed\/json\?size=1)$/,
    lines: /^- (\[\]\.Ports\[\]\.IP|\.NetworkSettings\.Ports\.80\/tcp\[\]\.HostIp) = "::"$/,
    reason:
      'an IPv4 network is published on IPv4 addresses alone; the proxy process that would translate does not exist',
  },
  {
    request: /: GET \/containers\/json\S*"since":\["nobody"\]/,
    lines: answers(500, 404),
    because: 'newer engines',
    reason: '404 for what is not there, since errors of lookups carry their kind',
  },
  {
    request: /: GET \/containers\/life\/changes$/,
    lines: /^[-+] \. (null|array)$/,
    reason: 'as in the published contract, never null',
  },
  {
    request: /nobody’s id .*: POST \/containers\/nobody\/attach|commit of nobody’s .*: POST \/commit$/,
    lines: /^([-+] (type|message)|- raw "No such container)/,
    reason: 'what can be refused is refused before the stream begins, in JSON',
  },
  {
    request: /: POST \/containers\/create \{"Image":"Bad:Name:x"/,
    lines: WORDS,
    reason: 'the words of newer engines',
  },
  {
    request: /: POST \/containers\/(life|host)\/exec |: DELETE \/containers\/life$/,
    lines: WORDS,
    because: 'newer engines',
    reason: 'the words of newer engines: they name the container by its id, or say its state first',
  },
  {
    request: /: POST \/containers\/fails2?\/start$/,
    lines: /^[-+] message failed to create .*exec: "(nosuchprogram|\/etc)": /,
    reason: 'newer engines tell the failure of a task in this frame, and call a folder a folder',
  },
  {
    request: /: POST \/containers\/port2\/start$/,
    lines: /^[-+] message driver failed programming external connectivity on endpoint port2 \(<(short )?id>\): /,
    reason: 'the id of the endpoint is short',
  },
  {
    request: /: GET \/containers\/\w+\/stats\?/,
    lines: /^\+ \.memory_stats\.stats\.\w+ number$/,
    reason: 'the keys are those that the kernel has',
  },
  {
    request: /: GET \/containers\/\w+\/stats\?/,
    lines: /^[-+] \.blkio_stats\.io_(service_bytes|serviced)_recursive\[\]( object|\.\w+ (number|string))$/,
    reason: 'whether the program was read from a disk just then',
    sometimes: true,
  },
];
