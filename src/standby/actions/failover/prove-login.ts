import { PitrError } from '../../../errors.ts';
import type { Server } from '../../server/server.ts';
import { isHotStandby, type ServerConfiguration } from '../../server/server-configuration.ts';
import { observeServer, type ServerState } from '../../server/server-state.ts';
import { waitUntil } from '../../server/wait.ts';
import { loginHint, observeLocalLogin, sayLogin } from './local-login.ts';

/** A hot standby answers queries once it is consistent. We do not wait for one that takes longer. */
const consistentS = 10;

async function onceItAnswers(server: Server, configuration: ServerConfiguration): Promise<ServerState> {
  const { deps, capabilities } = server;
  let state = await observeServer(server);
  if (!isHotStandby(configuration, capabilities)) return state;
  await waitUntil(deps, consistentS, async () => {
    state = await observeServer(server);
    if (state.kind !== 'recovering' || state.answers) return { kind: 'done', value: undefined };
    const { kind } = await observeLocalLogin({ server, state, configuration });
    // A refusal is final: the server will not let us in later.
    return kind === 'refused'
      ? { kind: 'done', value: undefined }
      : { kind: 'waiting', progress: state.progress };
  });
  return state;
}

export interface LoginProof {
  readonly configuration: ServerConfiguration;
  readonly failoverConfiguration: ServerConfiguration | undefined;
  /** The operator accepts a refusal: it is reported, and the failover continues. */
  readonly isAccepted: boolean;
}

/** Checks the login after the standby was started: a server is not promoted if it would not let us finish. */
export async function proveLogin(
  server: Server,
  { configuration, failoverConfiguration, isAccepted }: LoginProof,
): Promise<void> {
  const state = await onceItAnswers(server, configuration);
  const login = await observeLocalLogin({ server, state, configuration, failoverConfiguration });
  if (login.kind !== 'refused' || isAccepted) {
    sayLogin(server.deps, login);
    return;
  }
  throw new PitrError(`the server here was started and not promoted: it rejects our login: ${login.reason}`, {
    hint: `${loginHint} Then run -F999 again.`,
  });
}
