// k6: what it does stands in the environment.
import http from 'k6/http';
import { sleep } from 'k6';

const number = (name, otherwise) => (__ENV[name] === undefined ? otherwise : Number(__ENV[name]));
const routes = (__ENV.ROUTES || '/products').split(',');
const body = 'x'.repeat(number('BODY', 100));
export const options = {
  vus: number('VUS', 10),
  duration: `${number('SECONDS', 4)}s`,
  noConnectionReuse: __ENV.FRESH === '1',
  noVUConnectionReuse: __ENV.FRESH === '1',
  gracefulStop: `${number('GRACE', 10)}s`,
  summaryTrendStats: ['med', 'p(99)'],
};

export default function () {
  const route = routes[Math.floor(Math.random() * routes.length)];
  const parameters = { timeout: `${number('PATIENCE', 5000)}ms`, tags: { name: route } };
  const url = __ENV.URL + route;
  if (__ENV.POST === '1') http.post(url, body, parameters);
  else http.get(url, parameters);
  const [least, most] = (__ENV.PAUSE || '0.05:0.1').split(':').map(Number);
  sleep(least + Math.random() * (most - least));
}
