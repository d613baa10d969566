/** `--setup` as both programs run it: without settings, because it is what writes the INI file. */
import { resolve } from 'node:path';
import { type ProgramContext, refuseRoot } from '../program.ts';
import { endAllCommands } from '../system/command.ts';
import { textLog } from '../system/log.ts';
import { programDeps } from '../system/program-deps.ts';
import type { SetupRequest } from './request.ts';
import { enableServices } from './services.ts';
import { setUp } from './setup.ts';

/** Only the services of systemd need root: everything else belongs to the owner of the cluster. */
export async function setUpHere({ signal }: ProgramContext, request: SetupRequest): Promise<number> {
  signal.addEventListener('abort', () => {
    endAllCommands('SIGTERM');
  });
  const deps = programDeps(textLog({ debug: false }), signal);
  if (request.systemd && process.getuid?.() === 0) return enableServices(deps, request);
  refuseRoot();
  return setUp(deps, { ...request, iniFile: resolve(request.iniFile) });
}
