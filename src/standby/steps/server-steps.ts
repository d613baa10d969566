import { fitSlot } from '../archive/keep/leftover.ts';
import { type ConfCopy, copyConf } from '../host/conf-files.ts';
import { type Started, startServerProgram, stopServerProgram } from '../server/local-server.ts';
import { mustRecover } from '../server/reach.ts';
import type { Server } from '../server/server.ts';
import type { ServerConfiguration } from '../server/server-configuration.ts';
import { entriesFor } from './step-table.ts';

/** The context of steps that work on this host's server. `started` is the server's state before one of them started it. */
export interface ServerContext {
  readonly server: Server;
  started: Started;
  /** Whether a step has made a replication slot on the primary. */
  hasMadeSlot?: boolean;
}

export const serverStep = entriesFor<ServerContext>();

/** Steps that several actions have in common. */
export const serverSteps = {
  'stop-server': serverStep({
    say: () => 'stop the server',
    run: ({ server }) => stopServerProgram(server),
  }),
  'copy-conf': serverStep<{ readonly copy: ConfCopy }>({
    say: ({ copy }) => `copy ${copy.from} (${copy.key}) to ${copy.to}`,
    run: ({ server }, { copy }) => copyConf(server.deps, copy),
  }),
  'start-server': serverStep<{ readonly configuration: ServerConfiguration }>({
    say: ({ configuration }) => `start the server with ${configuration.configFile}`,
    run: async (context, { configuration }) => {
      await fitSlot(context.server, configuration);
      context.started = await startServerProgram(context.server, configuration);
    },
  }),
  'see-it-recover': serverStep({
    say: () => 'wait until it is seen recovering',
    leavesNothing: true,
    run: (context) =>
      mustRecover(context, {
        mayBeOpen: true,
        message: 'the server was started, but is not seen recovering',
        hint: 'The server log shows the reason. The server has not been promoted.',
      }),
  }),
};
