import {
  parametersOfFiles,
  parametersOfServer,
  type ParameterValues,
  startParameters,
} from './parameters.ts';
import type { Server } from './server.ts';
import { configurationSources, readConfiguration } from './server-configuration.ts';

/** Settings as they will be once this host's standby is promoted; what cannot be determined is missing. */
export async function settingsAfterPromotion(
  server: Server,
  names: readonly string[],
): Promise<ParameterValues> {
  const { settings } = server.deps;
  const isOther =
    configurationSources(settings, 'standby').conf !== configurationSources(settings, 'failover').conf;
  const answer = isOther ? undefined : await parametersOfServer(server, names);
  if (answer?.kind === 'answered') return answer.value;
  const configuration = await readConfiguration(server, 'failover');
  return parametersOfFiles(server, names, startParameters(server, 'failover', configuration));
}
