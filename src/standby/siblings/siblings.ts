import { hostname, networkInterfaces } from 'node:os';
import { resolve } from 'node:path';
import type { ArchiverSettings, StandbyTarget } from '../../config/options-archiver.ts';
import type { StandbyDeps } from '../deps.ts';
import { readArchiverPart } from '../host/archiver-part.ts';

/** The other standbys of this cluster: those that this host feeds once it is the primary. */
export type SiblingList =
  | {
      readonly kind: 'known';
      readonly archiver: ArchiverSettings;
      readonly targets: readonly StandbyTarget[];
    }
  /** `reason` says why no other standby can be asked or informed, `hint` how to mend that. */
  | { readonly kind: 'unknown'; readonly reason: string; readonly hint: string };

/** Its names and addresses, as an INI file may have them. */
function ownNames(): ReadonlySet<string> {
  const name = hostname();
  const addresses = Object.values(networkInterfaces()).flatMap((entries) =>
    (entries ?? []).map(({ address }) => address),
  );
  return new Set([name, name.split('.')[0] ?? name, 'localhost', ...addresses]);
}

export async function readSiblings(deps: StandbyDeps): Promise<SiblingList> {
  const part = await readArchiverPart(deps);
  if (part.kind === 'missing') {
    return {
      kind: 'unknown',
      reason: `this host has no "${part.iniFile}", which would name the other standbys`,
      hint: "Write that file, or set archiver_ini: to the path of cmd_archiver's INI file on this host.",
    };
  }
  if (part.kind === 'unusable') {
    return {
      kind: 'unknown',
      reason: `"${part.iniFile}", which names the other standbys, cannot be used: ${part.reason}`,
      hint: `Correct it, or set archiver_ini: to another path. To see all that is wrong in it: cmd_archiver -C ${part.iniFile}`,
    };
  }
  const names = ownNames();
  const own = resolve(deps.settings.archivedir);
  const isOurs = ({ host, r_archivedir }: StandbyTarget) => names.has(host) && resolve(r_archivedir) === own;
  const targets = part.settings.standbys.filter((target) => !isOurs(target));
  return { kind: 'known', archiver: part.settings, targets };
}
