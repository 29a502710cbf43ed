// Requests that mean nothing. 20.10 answers some of them 500, in the words of Go's parsers, or takes them and forgets what
// it was told; they have to be answered 4xx with a sentence.
import { answers, type Listed, WORDS } from './listed.ts';

export const NONSENSE: readonly Listed[] = [
  {
    request: /: GET \/\w+(\/json)?\?(\S*&)?filters=(\{|\[\]|"x"|\{"label":5\}|\{"label":\["a"\],"x":1\})$/,
    lines: answers(500, 400),
    because: 'nonsense',
    reason: 'malformed filters answer 400 with a sentence',
  },
  {
    request: /: POST \S+ "(\{|\[\]|\{\})?"$/,
    lines: WORDS,
    reason: 'a malformed body answers 400 with a sentence; the words of Go’s parser are not ours',
  },
  {
    request: /: POST \/(containers\/(create|changed\/update)|commit\S*) ("[{[\]]*"|\{"Image":5\}|\{.*"Env":"A=1"\})$/,
    lines: answers(500, 400),
    because: 'nonsense',
    reason: 'a malformed body answers 400 with a sentence',
  },
  {
    request:
      /: GET \/(events\?since=(x|1&until=y)|containers\/json\?(limit=x|\S*\{"exited":\["x"\]\})|containers\/said\/logs\S*(since|until)=x)/,
    lines: answers(500, 400),
    because: 'nonsense',
    reason: 'a parameter that is no number or no time answers 400 with a sentence',
  },
  {
    request: /: POST \/(\w+\/prune\?filters=\{"until":\["x"\]\}|containers\/life\/stop\?t=x)$/,
    lines: answers(500, 400),
    because: 'nonsense',
    reason: 'a parameter that is no number or no time answers 400 with a sentence',
  },
  {
    request: /: POST \/(containers|exec)\/\S+\/resize(\?h=x&w=\d+)?$/,
    lines: WORDS,
    reason: 'a parameter that is no number answers 400 with a sentence',
  },
  {
    request: /: POST \/containers\/life\/kill\?signal=99$/,
    lines: answers(500, 400),
    because: 'nonsense',
    reason: 'a number that is no signal answers 400',
  },
  {
    request: /: GET \/containers\/watched\/top\?ps_args=(--nope|-o%20comm)$/,
    lines: answers(500, 400),
    because: 'nonsense',
    reason: 'the arguments are the client’s',
  },
  {
    request: /: POST \/containers\/(life|over)\/wait\?condition=nope$/,
    lines: answers(200, 400),
    reason: '400, as in the published contract',
  },
  {
    request: /: POST \/containers\/host\/exec \{"Cmd":\["true"\],"DetachKeys":"nope,nope"\}$/,
    lines: answers(500, 400),
    because: 'nonsense',
    reason: 'keys that are none are refused in the words of newer engines',
  },
  {
    request: /: POST \/containers\/create \{"Cmd":\["true"\]\}$/,
    lines: answers(201, 400),
    reason: 'a container needs an image, as newer engines say',
  },
  {
    request:
      /: POST \/containers\/create \{.*("ExposedPorts":\{"nonsense|"Healthcheck":\{"Test":\["NOPE|"CpuShares":-1|"PidMode":"nope|"IpcMode":"nope|"UTSMode":"nope|"UsernsMode":"nope|"LogConfig":\{"Type":"json-file","Config":\{"max|"DeviceCgroupRules":\["nope|"Ulimits":\[\{"Name":"nofile","Soft":2|"Privileged":true,"ReadonlyRootfs":true|"BlkioWeight":5)/,
    lines: answers(201, 400),
    reason: 'what is wrong is refused when it is said, not at the start or never; 400, as in the published contract',
  },
  {
    request: /: POST \/containers\/create \{.*("SecurityOpt":\["nope|"Binds":\["\/a:(\/b:nope|relative|\/"))/,
    lines: answers(500, 400),
    reason: 'a wrong request answers 400, as in the published contract',
  },
  {
    request:
      /: POST \/containers\/create \{.*("LogConfig":\{"Type":"nope|"Runtime":"nope|"Mounts":\[\{"Type":"nope|"RestartPolicy":\{"Name":"(nope|always","Maximum))/,
    lines: WORDS,
    reason: 'the words of newer engines, or of this one’s settings',
  },
  {
    request: /: POST \/containers\/changed\/update \{"RestartPolicy":\{"Name":"nope"\}\}$/,
    lines: WORDS,
    reason: 'the words of newer engines',
  },
];
