"""Prints the value of a Prometheus query that has one, else nothing: query.py URL QUERY"""
import json
import sys
import urllib.parse
import urllib.request

address = f"{sys.argv[1]}/api/v1/query?{urllib.parse.urlencode({'query': sys.argv[2]})}"
with urllib.request.urlopen(address, timeout=300) as answer:
    result = json.load(answer)["data"]["result"]
print(result[0]["value"][1] if result else "")
