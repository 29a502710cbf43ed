// Differences between Docker Engine 20.10 and Shoal that are meant, each with its reason. `npm run compat` fails for a
// difference that is not here, and for one of these that does not occur any more.
export interface Listed {
  /** Which requests: matched against the row, its number, the request and the beginning of its body. */
  readonly request: RegExp;
  /** Of which part of the comparison; `requests` unless it says. */
  readonly part?: string;
  /** Which lines: `- ` what Docker Engine says and Shoal does not, `+ ` the other way round. */
  readonly lines: RegExp;
  readonly reason: string;
  /** It comes and goes, so that its absence says nothing. */
  readonly sometimes?: true;
}

export const LISTED: readonly Listed[] = [
  {
    request: /./,
    lines: /^- without (api-version|docker-experimental|ostype|server)$/,
    reason: 'newer engines send these headers with every answer',
  },
  {
    request: /./,
    lines: /^\+ .*\.(GwPriority|DNSNames|EnableIPv4|ProductLicense|CDISpecDirs|NodeVersion)\b/,
    reason: 'a field of the newer API, which clients of the older one do not look at',
  },
  {
    request: /GET \/containers\/[^ ]*json|GET \/info/,
    lines: /KernelMemory/,
    reason: 'limits of kernel memory left the API with 1.42',
  },
  { request: /\/wait/, lines: /^- \.Error null$/, reason: 'left out since 1.42 unless there is one' },
  {
    request: /\/json/,
    lines: /HostConfig\.(Dns|DnsOptions|DnsSearch|PortBindings) (null|array|object)$/,
    reason: 'as in the published contract, never null',
  },
  {
    request: /\/json/,
    lines: /HostConfig\.(NetworkMode|RestartPolicy\.Name) = /,
    reason: 'newer engines say which network and which policy the default is',
  },
  {
    request: /\/json/,
    lines: /^[-+] \.HostConfig\.(Runtime|MaskedPaths\[\] = "\/(proc\/interrupts|sys\/devices\/virtual\/powercap)")/,
    reason: 'masked as newer engines do since 28; the runtime has its own name, and is named before the start',
  },
  { request: /\/json/, lines: /SandboxKey = /, reason: 'the daemons have folders of their own' },
  {
    request: /listed2\/json/,
    lines: /SandboxID/,
    reason: 'a stopped container has no network namespace, and none is named',
  },
  {
    request: /list 7: |listed\/json/,
    lines: /Ports.*("::"|HostIp = "")/,
    reason:
      'an IPv4 network is published on IPv4 addresses alone; the proxy process that would translate does not exist',
  },
  {
    request:
      /(filters=[[{"]$|filters=\[\]|"x"$|filters=\{"label":5|\{"label":\["a"\],"x"|\{"container":\{"told":true\},)/,
    lines: /./,
    reason:
      'malformed filters answer 400 with a sentence, as in the published contract; both forms of filters may stand in one request',
  },
  {
    request: / "\{"$| ""$| "\[\]"$|"Image":5|"Env":"A=1"| "\{\}"$/,
    lines: /^[-+] (status|message)/,
    reason:
      'a malformed body answers 400 with a sentence, as in the published contract; the words of Go’s parser are not ours',
  },
  {
    request: /(since|until|limit|t|h)=[xy]|resize$|"(exited|until)":\["x"\]/,
    lines: /^[-+] (status|message|document)/,
    reason: 'a parameter that is no number or no time answers 400 with a sentence, as in the published contract',
  },
  {
    request: /\/update |prune|POST \/volumes\/create|GET \/(images\/json|volumes|system\/df)|changes/,
    lines:
      /^[-+] (\[\]|\.)?.*(Warnings|Labels|RepoDigests|ContainersDeleted|NetworksDeleted|ImagesDeleted|VolumesDeleted|BuildCache|\.) (null|array|object)$/,
    reason: 'an empty list or table where as in the published contract has one, never null',
  },
  {
    request: /GET \/version$/,
    lines: /MinAPIVersion/,
    reason: 'the oldest API that is spoken is 1.24',
  },
  {
    request: /GET \/info$/,
    lines: /BridgeNf|AllowNondistributable|Mirrors|Runtimes|DefaultAddrPool|ExecutionDriver/,
    reason: 'what newer engines left out of this answer, runtimes by their own names, and the pools that are in use',
  },
  {
    request: /events of images.*"event":\["tag"/,
    lines: /./,
    reason: 'import tells of itself alone, and untag names what lost its tag',
  },
  {
    request: /events of .*\{"(volume|network)":\["told"\]\}/,
    lines: /^- document|in order/,
    reason: 'a filter for volumes or networks lets no event of another kind through that has the same name',
  },
  {
    request: /\/events/,
    lines: /^- document .*"(un)?pause"/,
    reason: 'this engine now and then tells of a pause twice',
    sometimes: true,
  },
  {
    request: /GET \/system\/df/,
    lines: /BuilderSize|SizeRw/,
    reason: 'BuilderSize left the API with 1.42, and SizeRw is always told',
  },
  {
    request: /GET \/containers\/json\?size=1/,
    lines: /SizeRw/,
    reason: 'told also when it is 0',
  },
  {
    request: /(nobody|held|detachKeys=nope,nope)|attach\/ws/,
    lines: /^[-+] (type|raw|message)/,
    reason: 'what can be refused is refused before the stream begins, in JSON',
  },
  {
    request: /create 7: /,
    lines: /./,
    reason: 'a container needs an image, as newer engines say',
  },
  {
    request: /Bad:Name|bad%20tag/,
    lines: /^[-+] (status|message)/,
    reason: 'the words of newer engines, and 400 for them',
  },
  {
    request:
      /"(ExposedPorts":\{"nonsense|Healthcheck":\{"Test":\["NOPE|CpuShares":-1|PidMode":"nope|IpcMode":"nope|UTSMode":"nope|LogConfig":\{"Type":"json-file","Config":\{"max|DeviceCgroupRules":\["nope|Ulimits":\[\{"Name":"nofile","Soft":2|Privileged":true,"ReadonlyRootfs":true)/,
    lines: /./,
    reason: 'what is wrong is refused when it is said, not at the start or never',
  },
  {
    request: /"CpusetMems":"99"/,
    lines: /./,
    reason: 'the kernel refuses it at the start',
  },
  {
    request: /"BlkioWeight":5/,
    lines: /./,
    reason: 'this kernel has no weights, and this engine then forgets what was asked',
  },
  {
    request: /RestartPolicy":\{"Name":"(nope|always","Maximum)/,
    lines: /^[-+] message/,
    reason: 'the words of newer engines',
  },
  {
    request: /NetworkMode":"(container:nobody|nowhere)|fails4/,
    lines: /./,
    reason: 'a network or a container that is not there is refused at create',
  },
  {
    request: /UsernsMode":"nope"/,
    lines: /./,
    reason: 'user namespaces are not there yet, and nothing is accepted that is then forgotten',
  },
  {
    request: /LogConfig":\{"Type":"nope|Runtime":"nope|SecurityOpt":\["nope|Mounts":\[\{"Type":"nope/,
    lines: /^[-+] (status|message)/,
    reason: 'the words of newer engines or of this one’s settings; a wrong request answers 400',
  },
  {
    request: /Binds":\["\/a:(\/b:nope|relative|\/")/,
    lines: /^[-+] (status|message)/,
    reason: 'a wrong request answers 400',
  },
  {
    request: /"since":\["nobody"\]/,
    lines: /^[-+] (status|message)/,
    reason: '404 for what is not there',
  },
  {
    request: /"(is-task|dangling)":\["x"\]/,
    lines: /^[-+] message/,
    reason: 'the value without the brackets of Go’s lists',
  },
  {
    request: /(listed|aged)\/json/,
    lines: /PortBindings.*HostIp/,
    reason: 'what a client leaves out of its request is left out of the answer',
  },
  {
    request: /life\/stats/,
    lines: /blkio_stats/,
    reason: 'lists are never null',
  },
  {
    request: /kill\?signal=/,
    lines: /^[-+] (status|message)/,
    reason: 'a number that is no signal answers 400',
  },
  {
    request: /\/exec |DELETE \/containers\/life$/,
    lines: /^[-+] message/,
    reason: 'the words of newer engines',
  },
  {
    request: /link=1/,
    lines: /^[-+] (status|message)/,
    reason: 'removing links is not there yet, and says so',
  },
  {
    request: /wait\?condition=nope/,
    lines: /./,
    reason: '400, as in the published contract',
  },
  {
    request: /POST \/containers\/fails2?\/start/,
    lines: /^[-+] message/,
    reason: 'newer engines tell the failure of a task in this frame',
  },
  {
    request: /fails3\/start/,
    lines: /^[-+] (status|message)/,
    reason: 'the request names the user, so 400',
  },
  {
    request: /port2\/start/,
    lines: /^[-+] message/,
    reason: 'the id of the endpoint is short',
  },
  {
    request: /top\?ps_args=/,
    lines: /^[-+] (status|message)/,
    reason: '400: the arguments are the client’s',
  },
  {
    request: /\/stats\?/,
    lines: /percpu_usage|max_usage|memory_stats\.stats\./,
    reason: 'gone from kernels with one hierarchy; the other keys are those that the kernel has',
  },
  {
    request: /attach 7: /,
    lines: /^[-+] (no body|frame 1 "")/,
    reason: 'a client that has ended its input gets an empty frame now and then, so that it is noticed when it goes',
  },
  {
    request: /attach to a terminal 4/,
    lines: /^[-+] (no body|raw)/,
    reason: 'this engine drops the output of a terminal when its client ends the input',
  },
  {
    request: /\/logs\?/,
    lines: /^\+ type application\/vnd\.docker\.raw-stream$/,
    reason: 'newer engines give logs a type',
  },
  {
    request: /exec (7|34): /,
    lines: /./,
    reason: 'an exec that has run is a conflict before the stream begins',
  },
  {
    request: /exec 19: /,
    lines: /ExitCode/,
    reason: '127 for a program that is missing, as newer engines and the client say',
  },
  {
    request: /exec (21|26): /,
    lines: /frame 1/,
    reason: 'newer words: a folder is called a folder, and a failure has the frame of a failed exec',
  },
  {
    request: /exec (8|40): /,
    lines: /^[-+] (status|message)/,
    reason: 'a wrong request answers 400',
  },
  {
    request: /exec 4[67]: /,
    lines: /./,
    reason: 'this engine forgets an exec with the end of its container, newer ones keep it for a while',
  },
  {
    request: /\/archive/,
    lines: /^[-+] (status|message)/,
    reason: '400, 403 and 404 as in the published contract, where this engine says 500',
  },
  {
    request: /GET \/images\/.*\/json/,
    lines: /ContainerConfig|Config\.Labels/,
    reason:
      'what the container of a commit had been asked is not part of an image any more; the keys stay for compose 1',
  },
  {
    request: /GET \/images\/.*\/json/,
    lines: /GraphDriver\.Data/,
    reason: 'an image is never mounted, so nothing is merged anywhere',
  },
  {
    request: /GET \/images\/[^j].*\/json/,
    lines: /^[-+] message/,
    reason: 'newer engines say it once',
  },
  {
    request: /\/history/,
    lines: /Tags/,
    reason: 'steps of an image below are not looked up',
  },
  {
    request: /POST \/images\/prune/,
    lines: /ImagesDeleted/,
    reason: 'the layers of an image in use are not images here',
  },
  {
    request: /out\/export/,
    lines: /entry (dev|etc)\//,
    reason: 'mount points are made outside the container’s own layer; files for the network are files',
  },
  {
    request: /\/tag(\?repo=)?$|POST \/images\/create$|import 3: /,
    lines: /^[-+] (status|message)/,
    reason: 'a wrong request answers 400',
  },
  {
    request: /load and save [12]: /,
    lines: /entry/,
    reason: 'archives have the OCI layout, with the manifest that older engines read',
  },
  {
    request: /load and save [34]: /,
    lines: /^[-+] message/,
    reason: 'with the tag that was looked for',
  },
  {
    request: /load and save 5: /,
    lines: /./,
    reason: 'an archive of nothing is refused',
  },
  {
    request: /platform=nonsense/,
    lines: /^[-+] message/,
    reason: 'it says which part is unknown',
  },
  {
    request: /push\?tag=2/,
    lines: /document/,
    reason: 'what is not here is not looked for there',
  },
  {
    request: /push\?tag=1$/,
    lines: /./,
    reason: 'without a login it is tried without one, as newer engines do',
  },
  {
    request: /GET \/networks(\?|$)/,
    lines: /^-|bridge\.name|IPAM/,
    reason: 'services need no network ingress and no gateway bridge, so these two are not in lists',
  },
  {
    request: /GET \/networks\/bridge$/,
    lines: /bridge\.name|IPAM\.Config/,
    reason: 'the bridge of a daemon has a name of its own, and its gateway is told',
  },
  {
    request: /DELETE \/networks\/own/,
    lines: /^[-+] message/,
    reason: 'it names who is in it, as newer engines do',
  },
  {
    request: /disconnect|connect/,
    lines: /^[-+] (status|message)/,
    reason: 'the container is named as it was asked for; what is not there is 404 and what is not allowed 403',
  },
  {
    request: /networks that are wrong (1|2|3|4|7|8|9|1[0-3]): /,
    lines: /./,
    reason:
      'names and pools are checked before anything is made; this engine keeps the pool of a network that it refused',
  },
  {
    request: /"type":\["nope"\]|"dangling":\["x"\]/,
    lines: /./,
    reason: 'a type that nobody has selects nothing',
  },
  {
    request: /"Driver":"nope"|"DriverOpts":\{"nope"/,
    lines: /^[-+] (status|message)/,
    reason: 'options of local volumes are not there yet, and say so',
  },
  {
    request: /version (9\.99|1\.0) /,
    lines: /./,
    reason: 'errors are JSON for every version, and the versions are ours',
  },
  {
    part: 'typed',
    request: /^typed: \d+ docker run --rm (bb nosuch|bb \/etc|--device)/,
    lines: /./,
    reason: 'newer engines tell the failure of a task in this frame; the exit code is the same',
  },
  {
    part: 'typed',
    request: /--network nowhere/,
    lines: /./,
    reason: 'in a swarm Docker asks the manager, and passes on how it asked',
  },
  {
    part: 'typed',
    request: /^typed: \d+ docker exec life nosuchprogram/,
    lines: /./,
    reason: 'newer engines and the client end with 127 for a program that is missing',
  },
  {
    part: 'typed',
    request: /^typed: \d+ docker exec life true/,
    lines: /./,
    reason: 'newer engines name the container by its id',
  },
  {
    part: 'typed',
    request: /--log-driver nope|--runtime nope|--cpuset-cpus a-b/,
    lines: /./,
    reason: 'the words of newer engines',
  },
  {
    part: 'typed',
    request: /^typed: \d+ docker diff/,
    lines: /./,
    sometimes: true,
    reason: 'in the order of names; Docker’s order is that of its walk',
  },
  {
    part: 'typed',
    request: /relative:path:x/,
    lines: /./,
    reason: 'two things are wrong with it; Docker names the other first',
  },
  {
    part: 'typed',
    request: /^typed: \d+ docker events .*nope=x/,
    lines: /./,
    reason: 'a misspelt filter is refused, or it would select everything',
  },
  {
    part: 'typed',
    request: /^typed: \d+ docker image inspect second:1/,
    lines: /./,
    reason: 'newer engines say it once',
  },
  {
    part: 'typed',
    request: /--restart nope nobody/,
    lines: /./,
    reason: 'two things are wrong with it; Docker names the other first',
  },
  {
    part: 'dockerode',
    request: /: wait/,
    lines: /StatusCode/,
    reason: 'the Error of a wait is left out unless there is one',
  },
  { part: 'dockerode', request: /: build/, lines: /./, reason: 'building images is not there yet, and says so' },
  {
    part: 'docker-py',
    request:
      /run of a program that is not there|remove while it runs|exec after its end|list by what nobody|get no image|remove while in use/,
    lines: /fails /,
    reason: 'the words of newer engines; status and class are the same',
  },
  {
    part: 'docker-py',
    request: /: update/,
    lines: /Warnings/,
    reason: 'an empty list, never null, as in the published contract',
  },
  { part: 'docker-py', request: /disconnect again/, lines: /fails /, reason: 'what is not allowed is 403' },
  {
    part: 'compose',
    request: /docker-compose ps/,
    lines: /:::|->|^[-+] -+$|State +Ports/,
    reason: 'an IPv4 network is published on IPv4 addresses alone',
  },
  {
    part: 'compose',
    request: /RestartPolicy/,
    lines: /healthy/,
    reason: 'newer engines say which policy the default is',
  },
  {
    part: 'typed',
    request: /^typed: \d+ docker rm other/,
    lines: /running container|container is running/,
    reason: 'the words of newer engines',
  },
];
