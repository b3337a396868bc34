"""VictoriaMetrics beside Prometheus in `test_fleet.py`: another engine, whose vmalert runs the same rules.

It has machines of its own: a series that one server has seen at 0 may begin at more for a second one.
"""

import json
import shutil
import urllib.parse
import urllib.request


class Victoria:
    """A server that scrapes, and the program that runs the rules."""

    def __init__(self, fleet, programs, folder, files, targets, ports, notifier):
        server, alerter = programs
        self.targets = targets
        self.url, self.alerts = (f"http://127.0.0.1:{port}" for port in ports)
        etc = folder / "victoria-etc"
        shutil.copytree(files, etc)
        (etc / "ebpftop.targets.json").write_text(json.dumps([{"targets": targets}]))
        config = (etc / "scrape.yml").read_text()
        (etc / "victoria.yml").write_text(f"global: {{scrape_interval: 1s}}\n{config}")
        self.log = open(folder / "victoria.log", "w+", encoding="utf-8")
        fleet.start(
            server,
            f"-promscrape.config={etc}/victoria.yml",
            # `rule_files` are those of Prometheus.
            "-promscrape.config.strictParse=false",
            f"-storageDataPath={folder}/victoria",
            f"-httpListenAddr=127.0.0.1:{ports[0]}",
            # Else answers are half a minute old.
            "-search.latencyOffset=0s",
            stdout=self.log,
            stderr=self.log,
        )
        fleet.start(
            alerter,
            f"-rule={etc}/ebpftop.rules.yml",
            f"-rule={etc}/ebpftop.alerts.yml",
            f"-datasource.url={self.url}",
            f"-remoteWrite.url={self.url}",
            f"-notifier.url=http://{notifier}",
            "-evaluationInterval=1s",
            f"-httpListenAddr=127.0.0.1:{ports[1]}",
            stdout=self.log,
            stderr=self.log,
        )

    @staticmethod
    def _get(url):
        with urllib.request.urlopen(url, timeout=20) as answer:
            return json.load(answer)["data"]

    def query(self, expression):
        """Labels and value of each sample."""
        query = urllib.parse.urlencode({"query": expression})
        result = self._get(f"{self.url}/api/v1/query?{query}")["result"]
        return [(sample["metric"], float(sample["value"][1])) for sample in result]

    def rules(self):
        """Every rule."""
        return [rule for group in self._get(f"{self.alerts}/api/v1/rules")["groups"] for rule in group["rules"]]

    def wrong(self):
        """Rules with an error or without an answer, and machines that are not scraped."""
        rules = self.rules()
        wrong = [f"{rule['name']}: {rule['lastError']}" for rule in rules if rule.get("lastError")]
        recording = [rule["name"] for rule in rules if rule["type"] == "recording"]
        wrong += [f"{name} has no answer" for name in recording if not self.query(name)]
        if not recording or len(recording) == len(rules):
            wrong.append("rules are missing")
        up = {metric["instance"] for metric, value in self.query('up{job="ebpftop"}') if value == 1}
        return wrong + [f"{target} is not scraped" for target in self.targets if target not in up]
