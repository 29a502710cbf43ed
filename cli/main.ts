#!/usr/bin/env node
// The client `shoal`: docker's grammar and columns for what it covers. Exit status: 0, 1 for a failure, 125 for one of
// `run` itself, otherwise the container's own.
import { Command } from 'commander';
import { sentenceOf } from '../base/errors.ts';
import { addContainerCommands } from './commands/containers.ts';
import { addNetworkCommands } from './commands/networks.ts';
import { addNodeCommands } from './commands/nodes.ts';
import { addServiceCommands } from './commands/services.ts';
import { addSwarmCommands } from './commands/swarm.ts';
import { addStackCommands } from './commands/stacks.ts';
import { createContext, hostOf } from './context.ts';

const program = new Command('shoal')
  .description('containers and services across machines')
  .option('-H, --host <address>', 'the daemon: unix:///path or tcp://address:port')
  .enablePositionalOptions()
  .showHelpAfterError();
const context = () => createContext(hostOf(program.opts<{ host?: string }>().host));

addContainerCommands(program, context);
addServiceCommands(program, context);
addStackCommands(program, context);
addNodeCommands(program, context);
addNetworkCommands(program, context);
addSwarmCommands(program, context);

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`Error: ${sentenceOf(error)}\n`);
  process.exitCode = program.args[0] === 'run' ? 125 : 1;
}
