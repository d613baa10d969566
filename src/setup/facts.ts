/** All that is known before --setup plans: the plan depends on nothing else. */
import type { ArchiverSettings } from '../config/options-archiver.ts';
import type { HostAddress } from '../host-address.ts';
import type { Capabilities } from '../postgres/capabilities.ts';
import type { RoleState } from '../postgres/standby-role.ts';
import type { FoundCluster } from './cluster.ts';
import type { Places } from './places.ts';
import type { OwnKeys } from './public-key.ts';
import type { SetupRequest } from './request.ts';
import type { CurrentSettings } from './server-wants.ts';

/** The result of a connection with our own key, to a host whose key is pinned. */
export type Login =
  | { readonly kind: 'in' }
  | { readonly kind: 'no-key' }
  /** Its host key is not pinned yet. */
  | { readonly kind: 'unknown-host' }
  | { readonly kind: 'changed-host'; readonly reason: string }
  /** `byOwnKeys`: the user's other keys are let in, and have a shell. */
  | { readonly kind: 'denied'; readonly byOwnKeys: boolean }
  | { readonly kind: 'noisy' | 'no-answer'; readonly reason: string };

/** A host as the INI file has it. */
export interface NamedHost extends HostAddress {
  /** Its name in `slaves:` if that is another one: queues and ledger of that standby have it. */
  readonly name?: string;
  /** Where WAL arrives there, if that is not the directory of all others. */
  readonly archive?: string;
}

export interface HostFacts extends NamedHost {
  readonly login: Login;
  readonly addresses: readonly string[];
  /** Whether the archive there is marked; undefined if that could not be asked. */
  readonly hasArchive: boolean | undefined;
  /** Why the program there does not show its archive. */
  readonly archiveRefusal?: string | undefined;
}

export type ServerFacts =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'unasked'; readonly reason: string }
  | {
      readonly kind: 'seen';
      readonly port: number;
      readonly socketDirectory: string;
      readonly isInRecovery: boolean;
      readonly settings: CurrentSettings;
      readonly hbaFile: string;
      /** The server has read pg_hba.conf since it was last changed. */
      readonly isHbaLoaded: boolean;
      readonly hasHelpers: boolean;
      /** The state of the role of this host. Undefined on a standby, and for a release without such roles. */
      readonly role: RoleState | undefined;
    };

/** The primary, as a standby sees it over ssh. */
export type PrimaryFacts =
  | { readonly kind: 'unasked' }
  /** There is no INI file at that path there. */
  | { readonly kind: 'no-ini'; readonly path: string }
  | { readonly kind: 'unusable'; readonly reason: string; readonly hint: string }
  | {
      readonly kind: 'seen';
      readonly settings: ArchiverSettings;
      /** The name of this host in `slaves:` there. */
      readonly ownName: string;
      readonly capabilities: Capabilities;
      readonly port: number;
      readonly socketDirectory: string;
      readonly hasHelpers: boolean;
      readonly role: RoleState | undefined;
    };

export interface SetupFacts {
  readonly request: SetupRequest;
  /** The system user who runs this. */
  readonly me: string;
  readonly hostName: string;
  readonly places: Places;
  readonly cluster: FoundCluster;
  /** Those of the data directory here; of the primary if there is none yet. */
  readonly capabilities: Capabilities | undefined;
  /** Whether systemd runs this host. */
  readonly hasSystemd: boolean;
  /** The program as archive_command names it, and as a person types it; of both programs. */
  readonly programs: Readonly<Record<'cmd_archiver' | 'cmd_standby', { path: string; typed: string }>>;
  /** The directory of psql and pg_ctl, if they are neither on the PATH nor where packages install them. */
  readonly programFolder: string | undefined;
  /** The helper functions for this release. */
  readonly helperFile: string | undefined;
  /** Undefined unless both are there. */
  readonly ownKeys: OwnKeys | undefined;
  /** The text of our own authorized_keys, and its path. */
  readonly authorized: { readonly path: string; readonly text: string };
  /** On a standby the primary, and once that was asked, its other standbys. */
  readonly hosts: readonly HostFacts[];
  /** The addresses of this host from which it reaches the others. */
  readonly ownAddresses: readonly string[];
  readonly server: ServerFacts;
  /** Only for a standby. */
  readonly primary: PrimaryFacts;
  /** The text of each file that --setup may write; files that do not exist are left out. */
  readonly texts: ReadonlyMap<string, string>;
  /** Our file in the directory that postgresql.conf includes; undefined if it includes none. */
  readonly confFile: string | undefined;
  /** Settings that the server reads after that file, with the files that have them. */
  readonly overriding: ReadonlyMap<string, { readonly value: string; readonly file: string }>;
  /** Settings of postgresql.conf, of the files that it includes, and of postgresql.auto.conf, for a server that cannot be asked. */
  readonly configured: ReadonlyMap<string, { readonly value: string }>;
  /** Settings in postgresql.auto.conf. */
  readonly autoConf: ReadonlyMap<string, string>;
  /** The password for streaming: that of the INI file, otherwise a new one. */
  readonly password: string;
  /** Whether the primary's role has that password. */
  readonly hasPassword: boolean;
  /** The directory of WAL on a standby; undefined on a standby that could not ask its primary yet. */
  readonly archive: string | undefined;
  /** Where the queues are, or are to be. */
  readonly queueDirectory: string | undefined;
  readonly systemIdentifier: string | undefined;
  /** The cluster for which the archive here is marked. */
  readonly archiveOf: string | undefined;
  /** The cluster that cmd_archiver -I has noted here, and the queues that exist. */
  readonly queuesOf: string | undefined;
  readonly queues: readonly string[];
}
