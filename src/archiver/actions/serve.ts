import { join, resolve } from 'node:path';
import { exists } from '../../system/durable.ts';
import { withFoundProgram } from '../../system/find-program.ts';
import { quoted } from '../../system/printable.ts';
import { programRoot } from '../../system/program-root.ts';
import { psqlSessionWord as psqlWord } from '../../system/psql.ts';
import { logRefusal } from '../../system/refusals.ts';
import { refusalMark, servedVersion } from '../../system/served.ts';
import { shellQuote } from '../../system/shell-quote.ts';
import {
  type DataPlace,
  type DataRequestName,
  dataRequests,
  psqlSession,
  type PsqlValues,
} from '../../verbs/data-requests.ts';
import { type KeyInput, keyInput, type KeyService, serveKey } from '../../verbs/serve-key.ts';
import type { ArchiverDeps } from '../deps.ts';
import { checkValues } from '../serve/checks.ts';
import { type Refuse, servePsql } from '../serve/psql.ts';
import { serveRsync } from '../serve/rsync.ts';
import { standbyIniHere } from '../serve/standby-part.ts';
import { verbAnswerer } from '../serve/verbs.ts';

/** psql belongs to a session of its own: its statements come by standard input. */
const scripts = {
  ...dataRequests,
  [psqlWord]: {
    arguments: psqlSession,
    script: () => `echo '${refusalMark}psql needs a session of its own'; exit 1`,
  },
} as const;

/** The PATH of a program that sshd starts may lack the directories of `includepath`. */
export async function placeOf(
  { settings: { psql, rsync_bin, includepath } }: Pick<ArchiverDeps, 'settings'>,
  program: string,
): Promise<DataPlace> {
  return {
    psql: await withFoundProgram(psql, includepath),
    rsync: shellQuote((await withFoundProgram(rsync_bin, includepath)).program),
    program: shellQuote(program),
  };
}

function refuserOf(io: KeyInput): Refuse {
  return async (asked, reason) => {
    await logRefusal(io.log, asked, reason);
    io.writeError(`ERROR: ${io.log.program} --serve: refused: ${quoted(reason)}\n`);
  };
}

async function serviceOf(deps: ArchiverDeps, io: KeyInput, roles: boolean): Promise<KeyService> {
  const program = join(programRoot(), 'bin', 'cmd_archiver');
  const standbyProgram = join(programRoot(), 'bin', 'cmd_standby');
  const standbyIni = await standbyIniHere(deps);
  const answerer = standbyIni === undefined ? undefined : verbAnswerer(deps.startSession, standbyIni);
  return {
    served: { version: servedVersion, side: 'data', roles, program, ini: resolve(deps.iniFile ?? '') },
    scripts,
    place: await placeOf(deps, standbyProgram),
    check: (name, values) =>
      name === psqlWord
        ? Promise.resolve(undefined)
        : checkValues(deps, name as DataRequestName, values as never),
    program: (name, values) =>
      // readRequest has parsed them by these kinds.
      name === psqlWord
        ? servePsql(deps, io, values as unknown as PsqlValues, refuserOf(io)).finally(() => {
            // The client has not closed it, and learns by our end that psql has ended.
            process.stdin.destroy();
          })
        : undefined,
    verb: async (call, write) => {
      if (answerer !== undefined) return answerer.call(call, write);
      write(
        `${refusalMark}there is no INI file of cmd_standby here (standby_ini:), with which it could answer\n`,
      );
      return 1;
    },
    rsync: (line) => serveRsync(deps, line),
    end: async () => {
      await answerer?.end();
    },
  };
}

/** --serve: sshd runs it for a restricted key of a standby. `roles`: the key may change the role of this host's server. */
export async function serveRestricted(deps: ArchiverDeps, roles: boolean): Promise<number> {
  const { privateDirectory } = deps.layout;
  const refusals = (await exists(privateDirectory)) ? join(privateDirectory, 'refused') : undefined;
  const io = keyInput(deps, 'cmd_archiver', refusals);
  return serveKey(io, await serviceOf(deps, io, roles));
}
