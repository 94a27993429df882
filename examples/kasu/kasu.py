#!/usr/bin/env python3
"""kasu.py - a client of the KASU API in Python, with its standard library only.

    KASU_URL=http://127.0.0.1:8080 ./kasu.py
    KASU_URL=http://127.0.0.1:8080 ./kasu.py status CURP POLIZA

The first asks for all there is to know of a customer, sells a service to somebody
who is none yet, and pays all of it. The second asks how a policy stands: 30 days
after its last payment it is ACTIVO.

Nobody is sold the same service twice: the first way, once more, ends at new_service
with 412. Either it is sold to somebody else then, by KASU_NEW_CURP, KASU_MAIL and
KASU_PHONE, or the sandbox is put back as a superuser:
SELECT loyalty.load_sandbox(reset => true).

Each answer is a line: what was asked for, the HTTP status, and the body as it came.
The first one that is not as expected ends it. kasu.sh does the same in bash; here
fields have the other spellings that clients use.
"""

import hashlib
import hmac
import json
import os
import sys
import urllib.error
import urllib.request
from decimal import Decimal

# Who asks whom. The sandbox's are printed in the document; an app user in production
# has KASU_END=V1, KASU_TOKEN=Token_Full, and a name and a PRIVATE_KEY of its own.
URL = os.environ["KASU_URL"]
END = os.environ.get("KASU_END", "sbx")
REGISTRO = os.environ.get("KASU_TOKEN", f"Registro_{END}")
USER = os.environ.get("KASU_USER", "Api_KASU_Sandbox")
PRIVATE_KEY = os.environ.get("KASU_KEY", "ef235aacf90d9f4aadd8c92e4b2562e1d9eb97f0")
# A customer who has consented to be read.
CURP = os.environ.get("KASU_CURP", "CAMC880526HMCBNR04")
# The service, and to whom it is sold. The names are for who is in no registry; without
# them the API looks them up.
PRODUCT = os.environ.get("KASU_PRODUCT", "Funerario")
PAYMENTS = os.environ.get("KASU_PAYMENTS", "3")
NEW_CURP = os.environ.get("KASU_NEW_CURP", "GORJ850701HDFMML03")
NEW_NAMES = os.environ.get("KASU_NEW_NAMES", "Julián|Gómez|Ruiz")
MAIL = os.environ.get("KASU_MAIL", "julian@example.com")
PHONE = os.environ.get("KASU_PHONE", "5587654321")

FIELDS = """Mail Telefono calle numero colonia municipio codigo_postal estado Producto Usuario Tipo Nombre Paterno Materno
    CostoVenta Subtotal NumeroPagos DiaPago IdFIrma IdFirma Status FechaLiquidacion FechaRegistro""".split()


class Client:
    """One person's data, under a token that is good for some minutes.

    Whoever has the PRIVATE_KEY signs the CURP with it; the key itself is never sent.
    token_data is sent back as it came.
    """

    def __init__(self, curp):
        self.curp = curp
        self.token = None
        signature = hmac.new(PRIVATE_KEY.encode(), curp.encode(), hashlib.sha256).hexdigest()
        answer = self.post("token", 200, REGISTRO, {"tipo_peticion": "token_full", "curp_en_uso": curp, "firma_KEY": signature})
        self.token, self.token_data = answer["token"], answer["token_data"]

    def post(self, step, expected, path, body, **more_headers):
        """The answer, of which amounts stay exact."""
        headers = {"Content-Type": "application/json", "User-Agent": "kasu-py/1.0", **more_headers}
        body = {"nombre_de_usuario": USER, **body}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
            body["token_data"] = self.token_data
        request = urllib.request.Request(f"{URL}/api/{path}", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request) as response:
                status, text = response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        print(step, status, text.replace("\n", " "), flush=True)
        if status != expected:
            sys.exit(f"{step}: {expected} was expected")
        return json.loads(text, parse_float=Decimal)

    def customer(self, step, expected, kind, request, **more):
        """What API_CUSTOMER knows of the person."""
        body = {"tipo_peticion": kind, "request": request, "curp_en_uso": self.curp, **more}
        return self.post(step, expected, f"Customer_{END}", body)

    def policy_status(self, poliza, step="account_status"):
        """API_PAYMENTS goes by the policy, without a CURP. Of a sale, IdFIrma is its policy."""
        return self.post(step, 200, f"Payments_{END}", {"tipo_peticion": "account_status", "poliza": poliza})["data"]


def read_customer():
    client = Client(CURP)
    client.customer("keys/request_block", 202, "request", "request_block")
    client.customer("keys/individual_request", 202, "request", "individual_request")
    for field in FIELDS:
        client.customer(f"datum/{field}", 202, "individual_request", field)
    sales = client.customer("block/cliente", 202, "request_block", "cliente")["ventas"]
    client.policy_status(sales[0]["IdFIrma"], "sale")
    client.customer("block/catalogo_productos", 202, "request_block", "catalogo_productos")
    client.customer("block/producto_cliente", 202, "request_block", "producto_cliente", producto=PRODUCT)


def sell(client):
    """Sell the service, and return datos_compra.

    Who buys accepts the terms and the notice of privacy: with that, this app user may
    follow the policy and take payments of it. It may not read the person's other data.
    """
    names = dict(zip(("nombre", "paterno", "materno"), NEW_NAMES.split("|"))) if NEW_NAMES else {}
    answer = client.post("new_service", 201, f"Accounts_{END}", {
        "tipo_peticion": "new_service", "curp_en_uso": client.curp, **names,
        "mail": MAIL, "telefono": f"+52 {PHONE[:2]}-{PHONE[2:6]}.{PHONE[6:]}", "producto": PRODUCT, "numero_pagos": PAYMENTS, "DiaPago": "15",
        "terminos": True, "aviso": "on", "fideicomiso": "sí",
        "direccion": {"Calle": "Hidalgo", "Numero": "12", "Colonia": "Centro", "Municipio": "Toluca", "CP": "50000", "Estado": "México"}})
    client.customer("unread", 409, "request_block", "cliente")
    return answer["datos_compra"]


def pay(client, sale):
    """Pay all instalments, ahead; the last one takes what is left.

    Each payment is known again by its referencia, or by an Idempotency-Key where it has
    none: one that got no answer is sent again, and is not booked twice.
    """
    poliza = sale["poliza"]
    due = client.policy_status(poliza)["saldo"]
    number = 0
    while due > 0:
        number += 1
        body = {"tipo_peticion": "pagos_psd2", "id_firma": poliza, "monto": str(min(sale["amount"], due))}
        if number % 2:
            client.post(f"payment/{number}", 201, f"Payments_{END}", {**body, "metodo": "SPEI", "referencia": f"{poliza}-{number}"})
        else:
            client.post(f"payment/{number}", 201, f"Payments_{END}", body, **{"Idempotency-Key": f"{poliza}-{number}"})
        due = client.policy_status(poliza)["saldo"]


if __name__ == "__main__":
    if sys.argv[1:2] == ["status"]:
        Client(sys.argv[2]).policy_status(sys.argv[3])
    else:
        read_customer()
        buyer = Client(NEW_CURP)
        pay(buyer, sell(buyer))
