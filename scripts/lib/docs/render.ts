import { renderReference } from './render-reference.ts';
import { renderArchiverSample, renderStandbySample } from './render-sample.ts';

/** The committed files that are made from the option tables: path in the project, and text. */
export function renderGeneratedFiles(): ReadonlyMap<string, string> {
  return new Map([
    ['etc/cmd_archiver.ini.sample', renderArchiverSample()],
    ['etc/cmd_standby.ini.sample', renderStandbySample()],
    ['doc/reference.md', renderReference()],
  ]);
}
