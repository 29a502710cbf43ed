// The texts of an engine that clients look for, and who does. What is around them is for people to read.
export interface Matched {
  readonly text: RegExp;
  readonly by: string;
}

export const MATCHED: readonly Matched[] = [
  { text: /executable file not found|no such file or directory/i, by: 'docker: exit code 127' },
  { text: /permission denied|is a directory/i, by: 'docker: exit code 126' },
  { text: /no such image/i, by: 'docker-py, compose 1, dockerode users' },
  { text: /repository does not exist|not found: does not exist or no pull access/i, by: 'docker-py' },
  { text: /no such container/i, by: 'compose 1, testcontainers, Nomad' },
  { text: /no such volume/i, by: 'Nomad, Portainer' },
  { text: /is already in use by container/i, by: 'testcontainers, compose 2' },
  { text: /removal of container \S+ is already in progress/i, by: 'docker, testcontainers' },
  { text: /port is already allocated/i, by: 'testcontainers, Nomad' },
  { text: /driver failed programming external connectivity on endpoint/i, by: 'compose 1' },
  { text: /has active endpoints/i, by: 'compose, testcontainers' },
  { text: /network with name \S+ already exists/i, by: 'compose' },
  { text: /network \S+ not found/i, by: 'compose 1' },
  { text: /is not running/i, by: 'testcontainers, docker-py users' },
  { text: /is already paused|is not paused/i, by: 'compose 1' },
  { text: /is paused/i, by: 'docker users’ scripts' },
  { text: /running container|container is running/i, by: 'Nomad' },
  { text: /is being used by/i, by: 'compose, prune scripts' },
  { text: /volume is in use/i, by: 'compose' },
  { text: /invalid filter/i, by: 'docker' },
  { text: /(too new|too old)\. M(ax|in)imum supported API version is/i, by: 'docker, docker-py, dockerode users' },
  { text: /page not found/i, by: 'docker-py, testcontainers' },
  { text: /you must choose at least one stream/i, by: 'docker' },
  { text: /does not support reading/i, by: 'compose, docker' },
  { text: /could not find the file/i, by: 'docker cp, testcontainers' },
  { text: /rootfs is marked read-only/i, by: 'docker cp' },
  { text: /cannot overwrite (non-)?directory/i, by: 'docker cp' },
  { text: /invalid reference format/i, by: 'docker, compose' },
  { text: /unable to find user/i, by: 'testcontainers' },
  { text: /already (has run|run|running)/i, by: 'docker exec' },
  { text: /no such exec/i, by: 'docker exec, docker-py users' },
  { text: /connection refused/i, by: 'docker pull, docker push' },
  { text: /unauthorized|authentication required|access denied/i, by: 'docker pull, docker push' },
];
