// Networks and volumes of one machine.
import { answers, type Listed, WORDS } from './listed.ts';

export const NETWORKS: readonly Listed[] = [
  {
    request: /: GET \/networks(\?filters=\{"(name":\["bri|type":\["custom|scope":\["local)"\]\})?$/,
    lines:
      /^- \[\](\.(Name = "(ingress|docker_gwbridge)"|Scope = "swarm"|Driver = "overlay"|Ingress = true|(Containers|Labels) null|Options\.com\.docker\.network\.(driver\.overlay\.vxlanid_list = "4096"|bridge\.(enable_icc = "false"|name = "docker_gwbridge"))))$/,
    reason: 'services need no network ingress and no gateway bridge, so these two are not in lists',
  },
  {
    request: /: GET \/networks\?filters=\{"type":\["custom"\]\}$/,
    lines: /^- \[\]( object|\.\S+ (string|boolean|array|object|null))$/,
    reason: 'services need no network ingress and no gateway bridge, so that this list is empty',
  },
  {
    request: /: GET \/networks(\/bridge)?$/,
    lines: /^[-+] (\[\])?\.Options\.com\.docker\.network\.bridge\.name = "(docker0|shoal-\w+)"$/,
    reason: 'the bridge of a daemon has a name of its own',
  },
  {
    request: /: GET \/networks(\/bridge|\?filters=\{"type":\["builtin"\]\})?$/,
    lines: /^\+ (\[\])?\.IPAM\.Config\[\]\.Gateway string$/,
    reason: 'the gateway of the bridge is told, as in the published contract',
  },
  {
    request: /: DELETE \/networks\/own$/,
    lines:
      /^[-+] message error while removing network: network own id <id> has active endpoints( \(name:"member" id:"<short id>"\))?$/,
    reason: 'it names who is in it, as newer engines do',
  },
  {
    request: /: POST \/networks\/bridge\/disconnect \{"Container":"member"\}$/,
    lines: answers(500, 403),
    reason: 'what is not allowed answers 403, as in the published contract',
  },
  {
    request: /: POST \/networks\/bridge\/disconnect \{"Container":"nobody","Force":true\}$/,
    lines: /^[-+] message (endpoint nobody not found|no such container: nobody)$/,
    because: 'newer engines',
    reason: 'it is the container that is not there',
  },
  {
    request: /: POST \/networks\/nowhere\/connect \{"Container":"member"\}$/,
    lines: answers(500, 404),
    reason: 'a network that is not there answers 404, as in the published contract',
  },
  {
    request: /: POST \/networks\/host\/connect \{"Container":"member"\}$/,
    lines: WORDS,
    reason: 'the words of newer engines',
  },
  {
    request: /: POST \/networks\/create \{("Name":"")?\}$/,
    lines: answers(500, 400),
    reason: 'a name that is none answers 400, as in the published contract',
  },
  {
    request: /: POST \/networks\/create \{"Name":"bridge"\}$/,
    lines: answers(409, 403),
    because: 'newer engines',
    reason: 'a predefined name answers 403, as in the published contract; only a swarm’s manager has 409 for it',
  },
  {
    request: /: POST \/networks\/create \{("Name":"bad name"|.*"IPRange":"10\.8\.0\.0\/25")/,
    lines: answers(201, 400),
    reason: 'names and pools are checked before anything is made; 400, as in the published contract',
  },
  {
    request: /: POST \/networks\/create \{.*("Subnet":"nope"|"Gateway":"10\.8\.0\.1")/,
    lines: answers(500, 400),
    reason: 'names and pools are checked before anything is made; 400, as in the published contract',
  },
  {
    request: /: POST \/networks\/create \{"Name":"pool1"/,
    lines: answers(403, 201),
    reason: 'this engine keeps the pool of a network that it should have refused, and has just made',
  },
  {
    request: /: POST \/networks\/create \{"Name":"pool2"/,
    lines: /^[-+] message .*pool overlaps with other one on this address space/,
    reason: 'it names the network, as newer engines do',
  },
  {
    request: /: GET \/networks\?filters=\{"type":\["nope"\]\}$/,
    lines: answers(500, 400),
    because: 'nonsense',
    reason: 'a type that nobody has is a wrong parameter',
  },
  {
    request: /: GET \/networks\?filters=\{"dangling":\["x"\]\}$/,
    lines: WORDS,
    because: 'newer engines',
    reason: 'they say it of every filter in these words',
  },
];
